"""Who is traced: price queries at one ratio, the rest at another, and as the caller says where one does."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased
from opentelemetry.trace import Span, get_current_span

from shared import telemetry
from shared.messaging import propagation
from shared.telemetry import ReadWriteSampler, as_read
from tests.support.collector import Collector

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


class Traced:
    """A provider with a sampler of its own, and what it exported."""

    def __init__(self, read_ratio: float, write_ratio: float) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(sampler=ParentBased(ReadWriteSampler(read_ratio, write_ratio)))
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    def span(self, context: Context) -> Span:
        span = self.provider.get_tracer("test").start_span("work", context=context)
        span.end()
        return span

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.exporter.get_finished_spans()]


@pytest.fixture
def writes_only() -> Iterator[Traced]:
    traced = Traced(read_ratio=0, write_ratio=1)
    yield traced
    traced.provider.shutdown()


@pytest.fixture
def reads_only() -> Iterator[Traced]:
    traced = Traced(read_ratio=1, write_ratio=0)
    yield traced
    traced.provider.shutdown()


def called(carrier: Mapping[str, str]) -> Context:
    return propagation.extract(carrier)


def test_a_read_and_a_write_are_sampled_each_at_its_ratio(writes_only: Traced, reads_only: Traced) -> None:
    for traced in (writes_only, reads_only):
        traced.span(as_read(called({})))
    assert (writes_only.names, reads_only.names) == ([], ["work"])
    for traced in (writes_only, reads_only):
        traced.exporter.clear()
        traced.span(called({}))
    assert (writes_only.names, reads_only.names) == (["work"], [])


def test_a_caller_who_samples_is_traced_also_for_a_read(writes_only: Traced) -> None:
    span = writes_only.span(as_read(called({"traceparent": f"00-{TRACE}-{PARENT}-01"})))
    assert writes_only.names == ["work"]
    assert f"{span.get_span_context().trace_id:032x}" == TRACE


def test_a_caller_who_does_not_sample_is_not_traced_and_keeps_the_trace_id(writes_only: Traced) -> None:
    span = writes_only.span(called({"traceparent": f"00-{TRACE}-{PARENT}-00"}))
    assert writes_only.names == []
    assert f"{span.get_span_context().trace_id:032x}" == TRACE


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "garbage",
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{TRACE[:-1]}-{PARENT}-01",
        f"00-{TRACE[:-1]}g-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{TRACE}-{PARENT}-01\0",
    ],
)
def test_a_malformed_traceparent_starts_a_new_trace(writes_only: Traced, traceparent: str) -> None:
    context = called({"traceparent": traceparent, "tracestate": "a=b"})
    span = writes_only.span(context)
    assert writes_only.names == ["work"]
    assert f"{span.get_span_context().trace_id:032x}" != TRACE
    assert propagation.link_to({"traceparent": traceparent}) is None


def test_what_is_extracted_owes_nothing_to_the_caller_of_the_moment(writes_only: Traced) -> None:
    tracer = writes_only.provider.get_tracer("test")
    with tracer.start_as_current_span("other"):
        assert not get_current_span(called({})).get_span_context().is_valid


def test_a_context_goes_out_as_it_came_in(writes_only: Traced) -> None:
    tracer = writes_only.provider.get_tracer("test")
    with tracer.start_as_current_span("work", context=called({"traceparent": f"00-{TRACE}-{PARENT}-01"})) as span:
        carrier = propagation.current()
        assert telemetry.current_trace_id() == TRACE
    assert carrier["traceparent"] == f"00-{TRACE}-{span.get_span_context().span_id:016x}-01"


def test_outside_a_trace_there_is_nothing_to_carry() -> None:
    assert propagation.current() == {"traceparent": "", "tracestate": ""}
    assert telemetry.current_trace_id() == "0" * 32


def test_the_sampler_describes_both_ratios() -> None:
    assert ReadWriteSampler(0.01, 1.0).get_description() == "ReadWrite{TraceIdRatioBased{0.01}, TraceIdRatioBased{1.0}}"


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_spans_go_to_the_collector_by_the_protocol_that_is_set(protocol: str) -> None:
    collector = Collector()
    endpoint = collector.grpc_endpoint if protocol == "grpc" else collector.endpoint
    code = (
        "from shared import settings, telemetry\n"
        "provider = telemetry.configure('pricing-test', settings.load({}))\n"
        "with telemetry.tracer.start_as_current_span('work'): pass\n"
        "provider.shutdown()\n"
    )
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
    subprocess.run([sys.executable, "-c", code], env=os.environ | environ, check=True)
    spans = collector.spans()
    collector.close()
    assert [(span.service, span.name) for span in spans] == [("pricing-test", "work")]
