"""The trace of one request: continued from the caller, or begun; decided before anything is created."""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from litestar.types import HTTPScope
from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)

from shared.telemetry import propagation
from shared.telemetry.tracing import sampled, tracer

_HEADERS = ("traceparent", "tracestate")


class RequestTrace:
    """The trace that a request belongs to; with a span where it is recorded.

    Attributes:
        span: The server span; None: the trace is not recorded, and has cost nothing but its id.
        traceresponse: Names the trace in the answer's header, as `00-<trace id>-<span id>-<flags>`.
    """

    __slots__ = ("span", "traceresponse")

    def __init__(self, span: Span | None, traceresponse: bytes) -> None:
        self.span, self.traceresponse = span, traceresponse

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Make it the current trace."""
        token = attach(set_span_in_context(self.span or NonRecordingSpan(self._context())))
        try:
            yield
        finally:
            detach(token)

    def end(self, method: str, route: str, status: int) -> None:
        """End the span by what was answered."""
        if self.span is None:
            return
        self.span.update_name(f"{method} {route}")
        self.span.set_attributes({"http.route": route, "http.response.status_code": status})
        if status >= 500:
            self.span.set_attribute("error.type", str(status))
            self.span.set_status(StatusCode.ERROR)
        self.span.end()

    def _context(self) -> SpanContext:
        _, trace_id, span_id, _ = self.traceresponse.split(b"-")
        return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=False, trace_flags=TraceFlags())


def begin(scope: HTTPScope, headers: Mapping[bytes, bytes]) -> RequestTrace:
    """The trace of any request but a price query: the sampler decides, unless the caller did."""
    return _recorded(scope, propagation.extract(_carrier(headers)))


def begin_read(scope: HTTPScope, headers: Mapping[bytes, bytes], ratio: float) -> RequestTrace:
    """The trace of a price query.

    Where the caller did not decide, `ratio` of them are recorded. Of the others nothing is created but an id:
    a span that is not recorded would cost more than the price.
    """
    if b"traceparent" in headers:
        context = propagation.extract(_carrier(headers))
        caller = get_current_span(context).get_span_context()
        if caller.is_valid:
            return _recorded(scope, context) if caller.trace_flags.sampled else _unrecorded(caller.trace_id)
    if random.random() < ratio:  # noqa: S311 # no secret
        return _recorded(scope, sampled(Context()))
    return _unrecorded(random.getrandbits(128))


def _carrier(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    return {name: headers[name.encode()].decode("latin-1") for name in _HEADERS if name.encode() in headers}


def _unrecorded(trace_id: int) -> RequestTrace:
    return RequestTrace(None, b"00-%032x-%016x-00" % (trace_id, random.getrandbits(64) or 1))


def _recorded(scope: HTTPScope, context: Context) -> RequestTrace:
    span = tracer.start_span(
        scope["method"],
        context=context,
        kind=SpanKind.SERVER,
        attributes={
            "http.request.method": scope["method"],
            "url.path": scope["path"],
            "url.scheme": scope["scheme"],
        },
    )
    ids = span.get_span_context()
    return RequestTrace(span, b"00-%032x-%016x-%02x" % (ids.trace_id, ids.span_id, ids.trace_flags))
