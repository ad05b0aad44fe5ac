"""Spans as a line of OTLP's JSON: a `TracesData` document with ids in hex, as in OpenTelemetry's file format.

The SDK only has the protobuf form. A conversion from it costs two and a half times as much as recording the span.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext
from opentelemetry.util.types import AttributeValue

_HAS_IS_REMOTE, _IS_REMOTE = 0x100, 0x200


def encode(spans: Sequence[ReadableSpan]) -> bytes:
    """The line with its newline; the spans must be of one process, and so of one resource.

    Numbers of 64 bits are strings and enumerations numbers, as in every JSON of OTLP.
    """
    scopes: dict[Any, list[dict[str, Any]]] = {}
    for span in spans:
        scopes.setdefault(span.instrumentation_scope, []).append(_span(span))
    resource = spans[0].resource
    found = {
        "resource": {"attributes": _attributes(resource.attributes)},
        "scopeSpans": [
            {"scope": {"name": scope.name, "version": scope.version or ""}, "spans": of_set}
            for scope, of_set in scopes.items()
        ],
    }
    return msgspec.json.encode({"resourceSpans": [found]}) + b"\n"


def _span(span: ReadableSpan) -> dict[str, Any]:
    context = span.get_span_context()
    assert context is not None  # noqa: S101 # a span that has ended has one
    return {
        **_ids(context),
        "traceState": context.trace_state.to_header(),
        "parentSpanId": f"{span.parent.span_id:016x}" if span.parent else "",
        "name": span.name,
        "kind": span.kind.value + 1,  # OTLP counts from "unspecified" on
        "startTimeUnixNano": str(span.start_time),
        "endTimeUnixNano": str(span.end_time),
        "attributes": _attributes(span.attributes),
        "events": [
            {"timeUnixNano": str(event.timestamp), "name": event.name, "attributes": _attributes(event.attributes)}
            for event in span.events
        ],
        "links": [
            {**_ids(link.context), "attributes": _attributes(link.attributes), "flags": _flags(link.context)}
            for link in span.links
        ],
        "status": {"code": span.status.status_code.value, "message": span.status.description or ""},
        "flags": _flags(span.parent),
    }


def _ids(context: SpanContext) -> dict[str, str]:
    return {"traceId": f"{context.trace_id:032x}", "spanId": f"{context.span_id:016x}"}


def _flags(context: SpanContext | None) -> int:
    return _HAS_IS_REMOTE | (_IS_REMOTE if context is not None and context.is_remote else 0)


def _attributes(attributes: Mapping[str, AttributeValue] | None) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in (attributes or {}).items()]


def _value(value: AttributeValue) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case str():
            return {"stringValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case Iterable():
            return {"arrayValue": {"values": [_value(item) for item in value]}}
    raise TypeError(f"{type(value).__name__} is not the type of an attribute")
