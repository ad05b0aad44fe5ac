"""The trace of one request: continued from the caller, or begun; decided before anything is created."""

import os
import random
import struct
import time
from collections.abc import Callable, Iterator
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
_NAME = b"traceresponse"
# The square of it is the number of ids. One by one, they take ten times as long to draw.
HALVES_AT_ONCE = 16


class RequestTrace(msgspec.Struct, frozen=True, gc=False):
    """The trace that a request belongs to; with a span where it is recorded.

    Attributes:
        span: The server span; None: the trace is not recorded, and has cost nothing but its id.
        header: Names the trace in the answer, as `traceresponse: 00-<trace id>-<span id>-<flags>`.
    """

    span: Span | None
    header: tuple[bytes, bytes]

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
        _, trace_id, span_id, _ = self.header[1].split(b"-")
        return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=False, trace_flags=TraceFlags())


class RequestTraces:
    """Begins the traces of requests. A caller's sampled flag counts only with a live key.

    Of the other requests a share is recorded, with a limit. For the rest nothing is created but an id: a span that is
    not recorded would cost more than a price.
    """

    def __init__(
        self, read_ratio: float, write_ratio: float, per_s: int, key_of: Callable[[HTTPScope], object]
    ) -> None:
        """Traces of one process.

        Args:
            read_ratio: The share of price queries that is recorded.
            write_ratio: The share of all other requests.
            per_s: The largest number that is recorded in a second, of price queries and of others without a key.
            key_of: The live key of a request; None: it has none.
        """
        self._reads, self._others = Share(read_ratio, per_s), Share(write_ratio, per_s)
        self._read_ratio = read_ratio
        self._key_of = key_of
        # Traces of price queries to come; None: one that is recorded.
        self._drawn: list[RequestTrace | None] = []

    def begin_read(self, scope: HTTPScope) -> RequestTrace:
        """The trace of a price query: the caller's, or a new one."""
        for name, _ in scope["headers"]:
            if name == b"traceparent":
                return self._begin(scope, self._reads)
        return self.begin_new(scope)

    def begin_new(self, scope: HTTPScope) -> RequestTrace:
        """The trace of a price query whose caller has none."""
        if not self._drawn:
            self._draw()
        drawn = self._drawn.pop()
        if drawn is not None:
            return drawn
        if self._reads.has_room():
            return _recorded(scope, sampled(Context()))
        return _unrecorded(random.getrandbits(128) or 1)

    def begin_other(self, scope: HTTPScope) -> RequestTrace:
        """The trace of any other request: with a key, the caller decides, or else the sampler."""
        if self._key_of(scope) is not None:
            return _recorded(scope, propagation.extract(_carrier(scope)))
        return self._begin(scope, self._others)

    def _begin(self, scope: HTTPScope, share: "Share") -> RequestTrace:
        context = propagation.extract(_carrier(scope))
        caller = get_current_span(context).get_span_context()
        if not caller.is_valid:
            if share.takes_one():
                return _recorded(scope, sampled(Context()))
            return _unrecorded(random.getrandbits(128) or 1)
        if caller.trace_flags.sampled and (self._key_of(scope) is not None or share.takes_one()):
            return _recorded(scope, context)
        return _unrecorded(caller.trace_id)

    def _draw(self) -> None:
        """Draw halves of ids, join each first one with each second one, and choose the share that is recorded."""
        digits = os.urandom(HALVES_AT_ONCE * 24).hex().encode()
        drawn = list(struct.iter_unpack("16s16s16s", digits))
        starts = [b"00-" + first for first, _, _ in drawn]
        ends = [b"%b-%b-00" % (second, span_id) for _, second, span_id in drawn]
        self._drawn = [
            None if random.random() < self._read_ratio else RequestTrace(None, (_NAME, start + end))  # noqa: S311 # no secret
            for start in starts
            for end in ends
        ]


class Share:
    """A share of requests, with a largest number in a second."""

    def __init__(self, ratio: float, per_s: int) -> None:
        self._ratio, self._per_s = ratio, per_s
        self._second_began, self._taken = float("-inf"), 0

    def takes_one(self) -> bool:
        """Whether this request belongs to it."""
        return random.random() < self._ratio and self.has_room()  # noqa: S311 # no secret

    def has_room(self) -> bool:
        """Count a request, unless this second has had its number of them."""
        now = time.monotonic()
        if now - self._second_began >= 1:
            self._second_began, self._taken = now, 0
        self._taken += 1
        return self._taken <= self._per_s


def _named(span: Span | None, traceresponse: bytes) -> RequestTrace:
    return RequestTrace(span, (_NAME, traceresponse))


def _carrier(scope: HTTPScope) -> dict[str, str]:
    return {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in _HEADERS}


def _unrecorded(trace_id: int) -> RequestTrace:
    return _named(None, b"00-%032x-%016x-00" % (trace_id, random.getrandbits(64) or 1))


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
    return _named(span, b"00-%032x-%016x-%02x" % (ids.trace_id, ids.span_id, ids.trace_flags))
