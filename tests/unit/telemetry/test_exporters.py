"""Spans kept as files, bounded; and what is said and not waited for while they cannot be exported."""

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
import structlog
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Link, Span, StatusCode

from shared.telemetry import exporters
from shared.telemetry.exporters import BoundedSpanProcessor, FileSpanExporter
from shared.telemetry.recorded_spans import Unavailable
from shared.telemetry.trace_files import TraceFiles
from tests.support.waiting import eventually


class Collector(SpanExporter):
    """Takes spans while it is there."""

    def __init__(self) -> None:
        self.is_there = True
        self.hangs = threading.Event()
        self.calls = 0
        self.taken: list[str] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.calls += 1
        self.hangs.wait(0.3 if not self.is_there else 0)
        if not self.is_there:
            return SpanExportResult.FAILURE
        self.taken += [span.name for span in spans]
        return SpanExportResult.SUCCESS


def provider_of(exporter: SpanExporter) -> TracerProvider:
    provider = TracerProvider(resource=Resource.create({"service.name": "pricing-worker"}))
    provider.add_span_processor(BoundedSpanProcessor(exporter, to="there"))
    return provider


def work(provider: TracerProvider, name: str = "work", links: Sequence[Link] = ()) -> Span:
    with provider.get_tracer("test").start_as_current_span(name, links=links) as span:
        span.set_attribute("pricing.actor", "recalculate")
    return span


def trace_id_of(span: Span) -> str:
    return f"{span.get_span_context().trace_id:032x}"


def test_spans_are_kept_with_ids_as_the_logs_have_them(tmp_path: Path) -> None:
    provider = provider_of(FileSpanExporter(tmp_path / "traces", "pricing-worker"))
    other = work(provider, "other")
    with provider.get_tracer("test").start_as_current_span("above") as parent:
        span = work(provider, "below", [Link(other.get_span_context())])
        parent.record_exception(ValueError("no"))
        parent.set_status(StatusCode.ERROR, "ValueError")
    provider.shutdown()

    spans = {kept.name: kept for kept in TraceFiles(tmp_path / "traces").trace(trace_id_of(span))}
    assert spans.keys() == {"above", "below"}
    assert spans["below"].parent_id == spans["above"].span_id == f"{parent.get_span_context().span_id:016x}"
    assert (spans["above"].parent_id, spans["above"].service) == ("", "pricing-worker")
    assert (spans["above"].error, spans["below"].error) == ("ValueError: no", None)
    assert spans["below"].links == (trace_id_of(other),)
    assert spans["below"].attributes["pricing.actor"] == "recalculate"
    assert spans["above"].start_ns <= spans["below"].start_ns <= spans["below"].end_ns <= spans["above"].end_ns


def test_the_files_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    provider = provider_of(FileSpanExporter(tmp_path / "traces", "pricing-api"))
    work(provider)
    provider.shutdown()
    (file,) = (tmp_path / "traces").iterdir()
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_all_files_of_all_processes_are_bounded_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporters, "FILE_BYTES", 2_000)
    monkeypatch.setattr(exporters, "FOLDER_BYTES", 20_000)
    span_files = [FileSpanExporter(tmp_path, service) for service in ("pricing-api", "pricing-worker")]
    provider = TracerProvider()
    last = [work(provider) for _ in range(100)][-1]
    for _ in range(100):
        for exporter in span_files:
            assert exporter.export([last]) is SpanExportResult.SUCCESS  # type: ignore[list-item] # the SDK's own span
            assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 20_000
    assert TraceFiles(tmp_path).trace(trace_id_of(last))


def test_a_line_that_a_process_died_writing_hides_no_other(tmp_path: Path) -> None:
    provider = provider_of(FileSpanExporter(tmp_path, "pricing-listener"))
    span = work(provider, "process market_events")
    provider.shutdown()
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes() + b'{"resourceSpans": [{"market_events"')
    assert TraceFiles(tmp_path).latest_event() == trace_id_of(span)


def test_without_an_event_the_latest_one_cannot_be_shown(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="publish one"):
        TraceFiles(tmp_path).latest_event()


def test_one_line_says_that_the_collector_is_away_and_one_that_it_is_back() -> None:
    collector = Collector()
    collector.hangs.set()
    provider = provider_of(collector)

    def pass_one() -> None:
        calls = collector.calls
        work(provider)
        provider.force_flush()
        eventually(lambda: collector.calls > calls, "another export")

    with structlog.testing.capture_logs() as lines:
        pass_one()
        collector.is_there = False
        pass_one()
        pass_one()
        collector.is_there = True
        pass_one()
        pass_one()
        provider.shutdown()
    assert [(line["log_level"], line["to"]) for line in lines] == [("warning", "there"), ("info", "there")]


def test_a_shutdown_hands_over_what_waits() -> None:
    collector = Collector()
    provider = provider_of(collector)
    for number in range(1_500):
        work(provider, str(number))
    provider.shutdown()
    assert len(collector.taken) == 1_500


def test_a_shutdown_tries_a_collector_that_is_away_once_and_no_more() -> None:
    collector = Collector()
    collector.is_there = False
    provider = provider_of(collector)
    for _ in range(2_000):
        work(provider)
    before = collector.calls
    provider.shutdown()
    # One that had begun meanwhile, and the first of the shutdown's own: not one for each of the four batches.
    assert collector.calls - before <= 2


def test_spans_that_cannot_be_exported_are_dropped_at_a_bound() -> None:
    collector = Collector()
    collector.is_there = False
    provider = provider_of(collector)
    for _ in range(10_000):
        work(provider)
    collector.is_there = True
    provider.shutdown()
    assert len(collector.taken) <= 2_048 + 512


def test_time_is_not_waited_for_a_collector_that_comes_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporters, "FLUSH_WITHIN_S", -1.0)
    collector = Collector()
    provider = provider_of(collector)
    work(provider)
    provider.shutdown()
    assert collector.calls <= 1
