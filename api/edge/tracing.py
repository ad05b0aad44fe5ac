"""The trace of one request: continued from the caller, or begun; decided before anything is created."""

import os
import random
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
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

_HEADERS = (b"traceparent", b"tracestate")
# One by one, ids take ten times as long to draw.
DRAWN_AT_ONCE = 256


class RequestTrace(msgspec.Struct, frozen=True, gc=False):
    """The trace that a request belongs to; with a span where it is recorded.

    Attributes:
        span: The server span; None: the trace is not recorded, and has cost nothing but its id.
        traceresponse: Names the trace in the answer's header, as `00-<trace id>-<span id>-<flags>`.
    """

    span: Span | None
    traceresponse: bytes

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


class ReadTraces:
    """Begins the traces of price queries. Of those without a caller's trace, a share is recorded, with a limit.

    Of the others nothing is created but an id: a span that is not recorded would cost more than the price.
    """

    def __init__(self, ratio: float, per_s: int) -> None:
        """Traces of one process.

        Args:
            ratio: The share that is recorded.
            per_s: The largest number that is recorded in a second.
        """
        self._ratio, self._per_s = ratio, per_s
        self._second_began, self._recorded = float("-inf"), 0
        self._drawn: list[bytes] = []

    def begin(self, scope: HTTPScope) -> RequestTrace:
        """The trace of a price query: the caller's, or a new one."""
        for name, _ in scope["headers"]:
            if name == b"traceparent":
                context = propagation.extract(_carrier(scope))
                caller = get_current_span(context).get_span_context()
                if caller.is_valid:
                    return _recorded(scope, context) if caller.trace_flags.sampled else _unrecorded(caller.trace_id)
        if random.random() < self._ratio and self._has_room():  # noqa: S311 # no secret
            return _recorded(scope, sampled(Context()))
        if not self._drawn:
            digits = os.urandom(24 * DRAWN_AT_ONCE).hex().encode()
            self._drawn = [b"00-%b-%b-00" % ids for ids in struct.iter_unpack("32s16s", digits)]
        return RequestTrace(None, self._drawn.pop())

    def _has_room(self) -> bool:
        """Count a trace, unless this second has had its number of them."""
        now = time.monotonic()
        if now - self._second_began >= 1:
            self._second_began, self._recorded = now, 0
        self._recorded += 1
        return self._recorded <= self._per_s


def begin(scope: HTTPScope) -> RequestTrace:
    """The trace of any request but a price query: the sampler decides, unless the caller did."""
    return _recorded(scope, propagation.extract(_carrier(scope)))


def _carrier(scope: HTTPScope) -> dict[str, str]:
    return {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in _HEADERS}


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
