"""Traces in the engine's own files: OTLP JSON lines below its home."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from shared.telemetry.recorded_spans import Span, Unavailable

# Every trace of an event has one of these: the sending over HTTP, or the receipt where another service published it.
EVENT_SPANS = {"send market_events", "process market_events"}
ERROR = 2


class TraceFiles:
    """The traces in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def latest_event(self) -> str:
        """The id of the trace of the latest market event.

        Raises:
            Unavailable: there is no such trace.
        """
        started = ((span.start_ns, span.trace_id) for span in self._spans(b"market_events") if span.name in EVENT_SPANS)
        if latest := max(started, default=None):
            return latest[1]
        raise Unavailable("No market event was traced yet: publish one (the README shows how), or give a TRACE_ID.")

    def trace(self, trace_id: str) -> list[Span]:
        """The spans of a trace; none where it is unknown or deleted."""
        return [span for span in self._spans(trace_id.encode()) if span.trace_id == trace_id]

    def _spans(self, wanted: bytes) -> Iterator[Span]:
        """The spans of all lines with these bytes; a line that was cut short by a crash is skipped."""
        for path in self._folder.glob("*.jsonl"):
            try:
                lines = path.read_bytes().splitlines()
            except FileNotFoundError:
                continue
            for line in lines:
                if wanted in line:
                    yield from _decoded(line)


def _decoded(line: bytes) -> Iterator[Span]:
    try:
        document = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return
    for resource in document["resourceSpans"]:
        service = _attributes(resource["resource"]).get("service.name", "?")
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                yield _span(service, span)


def _span(service: str, span: dict[str, Any]) -> Span:
    status = span.get("status", {})
    return Span(
        trace_id=span["traceId"],
        span_id=span["spanId"],
        parent_id=span.get("parentSpanId", ""),
        service=service,
        name=span["name"],
        start_ns=int(span["startTimeUnixNano"]),
        end_ns=int(span["endTimeUnixNano"]),
        attributes=_attributes(span),
        error=_exception(span) or status.get("message") or "error" if status.get("code") == ERROR else None,
        links=tuple(link["traceId"] for link in span.get("links", ())),
    )


def _exception(span: dict[str, Any]) -> str | None:
    for event in span.get("events", ()):
        if event["name"] == "exception":
            known = _attributes(event)
            return f"{known.get('exception.type', '')}: {known.get('exception.message', '')}"
    return None


def _attributes(holder: dict[str, Any]) -> dict[str, str]:
    return {item["key"]: str(next(iter(item["value"].values()), "")) for item in holder.get("attributes", ())}
