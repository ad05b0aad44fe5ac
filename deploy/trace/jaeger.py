"""Traces in Jaeger, read by the API of its own page."""

from typing import Any

import httpx

from shared.telemetry.recorded_spans import Span, Unavailable

TIMEOUT_S = 10
# Every event has such a span of the listener, also an event that another service published.
EVENT = {"service": "pricing-listener", "operation": "process market_events", "limit": "1", "lookback": "48h"}


class Jaeger:
    """The traces of one Jaeger."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def latest_event(self) -> str:
        """The id of the trace of the latest market event.

        Raises:
            Unavailable: there is no such trace, or Jaeger does not respond.
        """
        found = self._get("/api/traces", EVENT)
        if not found:
            raise Unavailable("Jaeger has no market event of the last two days: publish one, or give a TRACE_ID.")
        return str(found[0]["traceID"])

    def trace(self, trace_id: str) -> list[Span]:
        """The spans of a trace; none where it is unknown.

        Raises:
            Unavailable: Jaeger does not respond.
        """
        return [
            _span(span, trace["processes"]) for trace in self._get(f"/api/traces/{trace_id}") for span in trace["spans"]
        ]

    def _get(self, path: str, query: dict[str, str] | None = None) -> list[dict[str, Any]]:
        try:
            answer = httpx.get(self._url + path, params=query, timeout=TIMEOUT_S, trust_env=False)
            if answer.status_code == 404:
                return []
            found: list[dict[str, Any]] = answer.raise_for_status().json()["data"]
        except (httpx.HTTPError, ValueError, KeyError) as error:
            raise Unavailable(
                f"Jaeger at {self._url} does not respond as expected ({error}): `just status`."
            ) from error
        return found


def _span(span: dict[str, Any], processes: dict[str, dict[str, Any]]) -> Span:
    tags = _tags(span)
    parents = [link for link in span.get("references", ()) if link["refType"] == "CHILD_OF" and _is_inside(span, link)]
    failed = tags.get("error") == "True" or tags.get("otel.status_code") == "ERROR"
    start_ns = int(span["startTime"]) * 1000
    return Span(
        trace_id=span["traceID"],
        span_id=span["spanID"],
        parent_id=parents[0]["spanID"] if parents else "",
        service=processes[span["processID"]]["serviceName"],
        name=span["operationName"],
        start_ns=start_ns,
        end_ns=start_ns + int(span["duration"]) * 1000,
        attributes=tags,
        error=_exception(span) or tags.get("otel.status_description") or "error" if failed else None,
        links=tuple(link["traceID"] for link in span.get("references", ()) if not _is_inside(span, link)),
    )


def _is_inside(span: dict[str, str], link: dict[str, str]) -> bool:
    return link["traceID"] == span["traceID"]


def _exception(span: dict[str, Any]) -> str | None:
    for entry in span.get("logs") or ():
        known = {field["key"]: str(field["value"]) for field in entry["fields"]}
        if known.get("event") == "exception":
            return f"{known.get('exception.type', '')}: {known.get('exception.message', '')}"
    return None


def _tags(span: dict[str, Any]) -> dict[str, str]:
    return {tag["key"]: str(tag["value"]) for tag in span.get("tags") or ()}
