"""The peer's traces and metrics: one ASGI middleware, without Starlette's `BaseHTTPMiddleware`, which costs more."""

import time
from functools import cache

from opentelemetry import trace
from opentelemetry.context import attach, detach
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import extract
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, set_span_in_context
from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.telemetry.metrics import LATENCY_BUCKETS_S

HTTP_DURATION = Histogram(
    "peer_request_duration_seconds",
    "Time from a request's first byte to its answer's last, by route template",
    ["method", "route", "status"],
    buckets=LATENCY_BUCKETS_S,
)
CACHE_READS = Counter("peer_cache_reads", "Price sheets looked up in Redis", ["result"])
CACHE_READ_DURATION = Histogram(
    "peer_cache_read_duration_seconds", "Time of look-ups in Redis", buckets=LATENCY_BUCKETS_S
)
DATABASE_READ_DURATION = Histogram(
    "peer_database_read_duration_seconds", "Time of look-ups in PostgreSQL", buckets=LATENCY_BUCKETS_S
)

tracer = trace.get_tracer("peer")


def provider(ratio: float) -> TracerProvider:
    """Samples root spans at a ratio, and sends them where OpenTelemetry's own variables say."""
    resource = Resource.create({"service.name": "pricing-peer"})
    made = TracerProvider(sampler=ParentBased(TraceIdRatioBased(ratio)), resource=resource)
    made.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=1)))
    trace.set_tracer_provider(made)
    return made


class Observing:
    """A server span that continues the caller's trace, and the time of every request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500
        carrier = {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name == b"traceparent"}
        span = tracer.start_span(scope["method"], extract(carrier), SpanKind.SERVER)
        token = attach(set_span_in_context(span))

        async def observed_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                context = span.get_span_context()
                value = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
                message["headers"].append((b"traceresponse", value.encode()))
            await send(message)

        try:
            await self._app(scope, receive, observed_send)
        finally:
            detach(token)
            route = getattr(scope.get("route"), "path", "unmatched")
            _duration(scope["method"], route, status).observe(time.perf_counter() - started)
            if span.is_recording():
                span.update_name(f"{scope['method']} {route}")
                span.set_attribute("http.route", route)
                span.set_attribute("http.response.status_code", status)
            span.end()


@cache
def _duration(method: str, route: str, status: int) -> Histogram:
    return HTTP_DURATION.labels(method, route, status)
