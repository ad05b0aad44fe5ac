"""`just trace`: the tree, the axis, and what Jaeger answers."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from rich.console import Console

from deploy.trace.drawing import draw
from deploy.trace.jaeger import Jaeger
from shared.telemetry.recorded_spans import Span, Unavailable, tree
from tests.unit.deploy.json_server import answering

MS = 1_000_000


def span(span_id: str, parent_id: str = "", start_ms: int = 0, end_ms: int = 100, **fields: object) -> Span:
    known = {"trace_id": "a" * 32, "service": "pricing-api", "name": span_id}
    times = {"start_ns": start_ms * MS, "end_ns": end_ms * MS}
    return Span(span_id=span_id, parent_id=parent_id, **{**known, **times, **fields})  # type: ignore[arg-type] # as said


def drawn(*spans: Span) -> list[str]:
    console = Console(width=130, no_color=True)
    with console.capture() as captured:
        console.print(draw(spans, 130))
    return captured.get().splitlines()


def test_each_span_stands_below_its_parent_by_its_start() -> None:
    spans = [span("late", "root", 50), span("root"), span("early", "root", 10), span("leaf", "early", 20)]
    assert [line.guide + line.span.name for line in tree(spans)] == ["root", "├─ early", "│  └─ leaf", "└─ late"]


def test_a_span_whose_parent_is_missing_is_drawn_all_the_same() -> None:
    assert [line.span.name for line in tree([span("orphan", "gone")])] == ["orphan"]


def test_bars_stand_where_their_time_is() -> None:
    *_, whole, first, second = drawn(span("root"), span("first", "root", 0, 50), span("second", "root", 50, 100))
    assert first.index("━") == whole.index("━")
    assert second.index("━") == first.rindex("━") + 1
    assert second.rindex("━") == whole.rindex("━")
    assert first.endswith("50.0 ms")


def test_the_wait_in_the_queue_is_drawn_before_the_work() -> None:
    waiting = span("work", "root", 50, 100, attributes={"pricing.queue_wait_ms": "50"})
    *_, line = drawn(span("root"), waiting)
    assert 0 < line.index("·") < line.index("━")


def test_an_error_is_drawn_with_its_text() -> None:
    lines = drawn(span("root", error="ExternalAPIError: refused", links=("b" * 32,)))
    assert "1 failed" in lines[0]
    assert any("✗ ExternalAPIError: refused" in line for line in lines)
    assert any(f"linked to trace {'b' * 32}" in line for line in lines)


@contextmanager
def jaeger(status: int, body: object) -> Iterator[tuple[Jaeger, list[str]]]:
    with answering(status, body) as (url, asked):
        yield Jaeger(url), asked


def test_a_trace_of_jaeger_is_read() -> None:
    link = {"refType": "FOLLOWS_FROM", "traceID": "b" * 32, "spanID": "2" * 16}
    parent = {"refType": "CHILD_OF", "traceID": "a" * 32, "spanID": "1" * 16}
    exception = [{"key": "event", "value": "exception"}, {"key": "exception.type", "value": "E"}]
    kept = {
        "traceID": "a" * 32,
        "spanID": "3" * 16,
        "operationName": "process events",
        "references": [parent, link],
        "startTime": 1_000,
        "duration": 500,
        "processID": "p1",
        "tags": [{"key": "otel.status_code", "value": "ERROR"}, {"key": "pricing.retries", "value": 1}],
        "logs": [{"fields": [*exception, {"key": "exception.message", "value": "no"}]}],
    }
    trace = {"traceID": "a" * 32, "spans": [kept], "processes": {"p1": {"serviceName": "pricing-worker"}}}
    with jaeger(200, {"data": [trace]}) as (there, asked):
        assert there.latest_event() == "a" * 32
        (found,) = there.trace("a" * 32)
    assert "operation=process" in asked[0]
    assert (found.parent_id, found.links, found.service) == ("1" * 16, ("b" * 32,), "pricing-worker")
    assert (found.start_ns, found.end_ns, found.error) == (1_000_000, 1_500_000, "E: no")
    assert found.attributes["pricing.retries"] == "1"


def test_a_trace_that_jaeger_does_not_know_has_no_spans() -> None:
    with jaeger(404, {"data": None}) as (there, _):
        assert there.trace("a" * 32) == []


def test_a_jaeger_that_fails_is_named() -> None:
    with jaeger(500, {}) as (there, _), pytest.raises(Unavailable, match="500"):
        there.latest_event()


def test_no_text_of_a_span_moves_the_cursor() -> None:
    hostile = "a\x1b[2J\rb\x9bc"
    attributes = {"pricing.event_id": hostile}
    one = span("root", name=hostile, service=hostile, error=hostile, attributes=attributes, links=(hostile,))
    lines = drawn(one)
    assert all(line.isprintable() for line in lines)
    assert "\\u001b[2J" in "".join(lines)
