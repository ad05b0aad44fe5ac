"""One span a target, in the trace of its first event, with links to the others."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import format_span_id, format_trace_id

from shared.postgres.pools import Pool
from shared.rulebook.store import ActivePolicy
from shared.telemetry import propagation
from shared.telemetry.tracing import tracer
from tests.integration.catalogue_examples import NOON, new_id, product, write
from tests.integration.workers.conftest import Interfering
from tests.integration.workers.event_examples import Events
from workers.jobs import market_events
from workers.jobs.event_spans import MOST_LINKS
from workers.services import Services


@pytest.fixture
def ids(pool: Pool, policy: ActivePolicy) -> list[str]:
    """Two products that follow competitors."""
    ids = sorted(new_id() for _ in range(2))
    write(pool, policy, *(product(each) for each in ids))
    return ids


def of(spans: InMemorySpanExporter, target: str) -> ReadableSpan:
    """The span about a target."""
    key = "pricing.market" if target.startswith("M-") else "pricing.product_id"
    [span] = [each for each in spans.get_finished_spans() if (each.attributes or {}).get(key) == target]
    assert span.name == "apply events"
    return span


def place(span: ReadableSpan) -> tuple[str, str]:
    """The ids of a span's trace and parent."""
    assert span.parent
    return format_trace_id(span.context.trace_id), format_span_id(span.parent.span_id)


def carried(traceparent: str) -> tuple[str, str]:
    """The ids of the trace and the span that a `traceparent` names."""
    _, trace_id, span_id, _ = traceparent.split("-")
    return trace_id, span_id


def linked(span: ReadableSpan) -> list[tuple[str, str]]:
    return [(format_trace_id(link.context.trace_id), format_span_id(link.context.span_id)) for link in span.links]


def test_each_product_has_a_span_in_the_trace_of_its_first_event_with_links_to_the_others(
    services: Services, events: Events, spans: InMemorySpanExporter, ids: list[str]
) -> None:
    first = [events.competitor(each, "95.00") for each in ids]
    later = events.competitor(ids[0], "94.00", at=NOON + timedelta(seconds=1))
    market_events.reprice_products(services, ids)
    busy, other = (of(spans, each) for each in ids)
    assert [place(busy), place(other)] == [carried(event.traceparent) for event in first]
    assert (linked(busy), linked(other)) == ([carried(later.traceparent)], [])
    attributes: dict[str, Any] = dict(busy.attributes or {})
    assert attributes == {
        "pricing.product_id": ids[0],
        "pricing.event_id": first[0].id,
        "pricing.events": 2,
        "pricing.outcome": "applied",
        "pricing.version": 2,
    }


def test_in_the_messages_own_trace_the_span_is_below_the_messages(
    services: Services, events: Events, spans: InMemorySpanExporter, ids: list[str]
) -> None:
    with tracer.start_as_current_span("send") as sender:
        traceparent = propagation.current()["traceparent"]
    events.competitor(ids[0], "95.00", traceparent=traceparent)
    carrier = {"traceparent": traceparent}
    with tracer.start_as_current_span("process", context=propagation.extract(carrier)) as message:
        market_events.reprice_products(services, ids[:1])
    context = sender.get_span_context(), message.get_span_context()
    assert place(of(spans, ids[0])) == (format_trace_id(context[0].trace_id), format_span_id(context[1].span_id))


def test_the_span_of_a_target_in_another_trace_is_not_below_the_messages(
    services: Services, events: Events, spans: InMemorySpanExporter, ids: list[str]
) -> None:
    event = events.competitor(ids[0], "95.00")
    with tracer.start_as_current_span("process"):
        market_events.reprice_products(services, ids[:1])
    assert place(of(spans, ids[0])) == carried(event.traceparent)


def test_an_event_without_a_trace_begins_one(
    services: Services, events: Events, spans: InMemorySpanExporter, ids: list[str]
) -> None:
    events.competitor(ids[0], "95.00", traceparent="")
    with tracer.start_as_current_span("process"):
        market_events.reprice_products(services, ids[:1])
    span = of(spans, ids[0])
    assert (span.parent, linked(span)) == (None, [])


def test_links_have_a_limit(services: Services, events: Events, spans: InMemorySpanExporter, ids: list[str]) -> None:
    for number in range(MOST_LINKS + 2):
        events.competitor(ids[0], "95.00", by=f"c-{number}")
    market_events.reprice_products(services, ids[:1])
    # The first of them gives the trace.
    assert len(linked(of(spans, ids[0]))) == MOST_LINKS - 1


def test_the_span_of_a_market_names_it(services: Services, events: Events, spans: InMemorySpanExporter) -> None:
    code = f"M-{new_id()}"
    event = events.market(code, "1.1")
    market_events.change_market(services, code)
    span = of(spans, code)
    assert place(span) == carried(event.traceparent)
    assert (span.attributes or {})["pricing.version"] == events.view(event).version


def test_a_rejected_event_has_a_span_with_its_outcome(
    services: Services, events: Events, spans: InMemorySpanExporter
) -> None:
    unknown = new_id()
    events.recorded_before(events.competitor(unknown, "95.00"), hours=1)
    market_events.reprice_products(services, [unknown])
    attributes = of(spans, unknown).attributes or {}
    assert (attributes["pricing.outcome"], "pricing.version" in attributes) == ("rejected", False)


def test_an_attempt_that_fails_leaves_no_span_of_its_targets(
    services: Services, events: Events, spans: InMemorySpanExporter, ids: list[str]
) -> None:
    def fail() -> None:
        raise ValueError("a fault of ours")

    events.competitor(ids[0], "95.00")
    with pytest.raises(ValueError, match="ours"):
        market_events.reprice_products(msgspec.structs.replace(services, writer=Interfering(fail)), ids[:1])
    assert "apply events" not in {span.name for span in spans.get_finished_spans()}
