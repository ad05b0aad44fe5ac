"""One ASGI layer around everything: the trace, the metrics, the trace id in the answer."""

import time

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPResponseStartEvent, HTTPScope, Message, Receive, Scope, Send
from opentelemetry.context import attach, detach
from opentelemetry.trace import Span, SpanKind, StatusCode, set_span_in_context

from shared.messaging import propagation
from shared.metrics import CACHE_HIT_DURATION, HTTP_DURATION
from shared.telemetry import as_read, tracer

READS = ("/api/v1/price", "/api/v1/prices")
UNTRACED = ("/health", "/metrics", "/docs", "/assets")
# Where the price routes say, in the scope's state, that every sheet came from Redis.
ALL_CACHED = "pricing_all_cached"
METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}


class Edge:
    """Wraps the application: a server span continues the caller's trace, every request is timed.

    The answer's `traceresponse` header names the trace, as `00-<trace id>-<span id>-<flags>`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = [500]
        span = None if scope["path"].startswith(UNTRACED) else _start_span(scope)
        token = None if span is None else attach(set_span_in_context(span))

        async def observed_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                status[0] = message["status"]
                if span is not None:
                    _name_trace(message, span)
            await send(message)

        try:
            await self._app(scope, receive, observed_send)
        finally:
            if token is not None:
                detach(token)
            method = scope["method"] if scope["method"] in METHODS else "other"
            route = str(scope.get("path_template") or "unmatched")
            duration_s = time.perf_counter() - started
            HTTP_DURATION.labels(method, route, status[0]).observe(duration_s)
            if scope.get("state", {}).get(ALL_CACHED):
                CACHE_HIT_DURATION.observe(duration_s)
            if span is not None:
                _end_span(span, method, route, status[0])


def _start_span(scope: HTTPScope) -> Span:
    wanted = {b"traceparent", b"tracestate"}
    carrier = {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in wanted}
    context = propagation.extract(carrier)
    return tracer.start_span(
        scope["method"],
        context=as_read(context) if scope["path"] in READS else context,
        kind=SpanKind.SERVER,
        attributes={"http.request.method": scope["method"], "url.path": scope["path"]},
    )


def _name_trace(message: HTTPResponseStartEvent, span: Span) -> None:
    context = span.get_span_context()
    value = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    message["headers"] = [*message.get("headers", ()), (b"traceresponse", value.encode())]


def _end_span(span: Span, method: str, route: str, status: int) -> None:
    span.update_name(f"{method} {route}")
    span.set_attribute("http.route", route)
    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        span.set_status(StatusCode.ERROR)
    span.end()
