"""Spans as OTLP's JSON: as the SDK's protobuf form says it."""

from typing import Any

import msgspec
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, TraceFlags, TraceState, set_span_in_context
from opentelemetry.trace import NonRecordingSpan as Remote

from shared.telemetry import otlp_json
from tests.support import otlp_json as by_protobuf

CALLER = SpanContext(
    7, 9, is_remote=True, trace_flags=TraceFlags(1), trace_state=TraceState([("shop", "a"), ("b", "c")])
)


def test_a_line_says_what_the_protobuf_form_says() -> None:
    kept = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "pricing-worker", "service.version": "1"}))
    provider.add_span_processor(SimpleSpanProcessor(kept))
    one, other = provider.get_tracer("one", "1.2"), provider.get_tracer("other")
    attributes: dict[str, Any] = {"s": "ü", "b": True, "i": 2**60, "f": 0.5, "many": ("x", "y"), "none": ""}
    with one.start_as_current_span("caller's", set_span_in_context(Remote(CALLER)), SpanKind.SERVER, attributes):
        with other.start_as_current_span("failed", kind=SpanKind.CLIENT, links=[Link(CALLER, {"why": "it"})]) as span:
            span.record_exception(ValueError("no"))
            span.set_status(StatusCode.ERROR, "ValueError")
        with one.start_as_current_span("fine", kind=SpanKind.PRODUCER) as span:
            span.set_status(StatusCode.OK)
    spans = kept.get_finished_spans()
    line = otlp_json.encode(spans)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert said(line) == said(by_protobuf.encode(encode_spans(spans)))


def said(line: bytes) -> Any:
    return without_defaults(msgspec.json.decode(line))


def without_defaults(value: Any) -> Any:
    """Protobuf leaves out what is empty or 0; but a value that is there stays, whatever it is."""
    if isinstance(value, list):
        return [without_defaults(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {key: without_defaults(item) for key, item in value.items()}
    return {key: item for key, item in found.items() if item not in ("", 0, [], {}) or key.endswith("Value")}
