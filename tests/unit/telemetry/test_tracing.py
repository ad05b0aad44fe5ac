"""Who is traced: roots at a ratio or as was decided before, and as the caller says where one does."""

import os
import socket
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

from shared.telemetry import propagation, tracing
from shared.telemetry.tracing import RootSampler, sampled
from tests.support.collector import Collector

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


class Traced:
    """A provider with a sampler of its own, and what it exported."""

    def __init__(self, ratio: float) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(sampler=ParentBased(RootSampler(ratio)))
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    def span(self, context: Context) -> Span:
        span = self.provider.get_tracer("test").start_span("work", context=context)
        span.end()
        return span

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.exporter.get_finished_spans()]


@pytest.fixture
def all_roots() -> Iterator[Traced]:
    traced = Traced(ratio=1)
    yield traced
    traced.provider.shutdown()


@pytest.fixture
def no_roots() -> Iterator[Traced]:
    traced = Traced(ratio=0)
    yield traced
    traced.provider.shutdown()


def called(carrier: Mapping[str, str]) -> Context:
    return propagation.extract(carrier)


def test_a_root_is_sampled_at_the_ratio_and_where_it_was_decided_before(all_roots: Traced, no_roots: Traced) -> None:
    for traced in (all_roots, no_roots):
        traced.span(called({}))
    assert (all_roots.names, no_roots.names) == (["work"], [])
    no_roots.span(sampled(called({})))
    assert no_roots.names == ["work"]


def test_a_caller_who_samples_is_traced_whatever_the_ratio(no_roots: Traced) -> None:
    span = no_roots.span(called({"traceparent": f"00-{TRACE}-{PARENT}-01"}))
    assert no_roots.names == ["work"]
    assert f"{span.get_span_context().trace_id:032x}" == TRACE


def test_a_caller_who_does_not_sample_is_not_traced_and_keeps_the_trace_id(all_roots: Traced) -> None:
    span = all_roots.span(called({"traceparent": f"00-{TRACE}-{PARENT}-00"}))
    assert all_roots.names == []
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
def test_a_malformed_traceparent_starts_a_new_trace(all_roots: Traced, traceparent: str) -> None:
    context = called({"traceparent": traceparent, "tracestate": "a=b"})
    span = all_roots.span(context)
    assert all_roots.names == ["work"]
    assert f"{span.get_span_context().trace_id:032x}" != TRACE
    assert propagation.link_to({"traceparent": traceparent}) is None


def test_what_is_extracted_owes_nothing_to_the_caller_of_the_moment(all_roots: Traced) -> None:
    tracer = all_roots.provider.get_tracer("test")
    with tracer.start_as_current_span("other"):
        assert not get_current_span(called({})).get_span_context().is_valid


def test_a_context_goes_out_as_it_came_in(all_roots: Traced) -> None:
    tracer = all_roots.provider.get_tracer("test")
    with tracer.start_as_current_span("work", context=called({"traceparent": f"00-{TRACE}-{PARENT}-01"})) as span:
        carrier = propagation.current()
        assert tracing.current_trace_id() == TRACE
    assert carrier["traceparent"] == f"00-{TRACE}-{span.get_span_context().span_id:016x}-01"


@pytest.mark.parametrize(("variable", "host"), [("", socket.gethostname()), ("host.name=shop-1", "shop-1")])
def test_every_span_names_its_host(monkeypatch: pytest.MonkeyPatch, variable: str, host: str) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", variable)
    attributes = tracing.resource_of("pricing-test").attributes
    assert (attributes["host.name"], attributes["service.name"]) == (host, "pricing-test")


def test_outside_a_trace_there_is_nothing_to_carry() -> None:
    assert propagation.current() == {"traceparent": "", "tracestate": ""}
    assert tracing.current_trace_id() == "0" * 32


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_spans_go_to_the_collector_by_the_protocol_that_is_set(protocol: str) -> None:
    collector = Collector()
    endpoint = collector.grpc_endpoint if protocol == "grpc" else collector.endpoint
    code = (
        "from shared import settings\nfrom shared.telemetry import tracing\n"
        "provider = tracing.configure('pricing-test', settings.load({}))\n"
        "with tracing.tracer.start_as_current_span('work'): pass\n"
        "provider.shutdown()\n"
    )
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
    subprocess.run([sys.executable, "-c", code], env=os.environ | environ, check=True)
    spans = collector.spans()
    collector.close()
    assert [(span.service, span.name) for span in spans] == [("pricing-test", "work")]
