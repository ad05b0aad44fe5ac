"""One ASGI layer around everything: the trace, the metrics, the trace id in the answer."""

import asyncio
import time
from contextlib import nullcontext

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, ReceiveMessage, Scope, Send

from api.edge.cors import Cors
from api.edge.fast_path import JSON, FastPath
from api.edge.limits import STREAM_PATHS, Limits, answer_whole
from api.edge.metrics import SOURCE, observe, series
from api.edge.protocol import NOSNIFF
from api.edge.rates import Rates
from api.edge.tracing import RequestTrace, RequestTraces
from api.http.answers import PRICE_PATH, READ_PATHS
from api.http.problems import render
from shared.errors import Overloaded, RateLimited, UrlTooLong
from shared.pricing.query import PriceQuery

# Of a refused URL.
INSTANCE_CHARACTERS = 200
UNTRACED = ("/health", "/metrics", "/docs", "/assets")


class Edge:
    """Wraps the application: a server span continues the caller's trace, every request is timed.

    The answer's `traceresponse` header names the trace, as `00-<trace id>-<span id>-<flags>`.
    """

    def __init__(
        self,
        app: ASGIApp,
        fast_path: FastPath,
        traces: RequestTraces,
        limits: Limits,
        rates: Rates | None = None,
        cors: Cors | None = None,
    ) -> None:
        """An edge.

        Args:
            app: The whole application.
            fast_path: Answers the usual price queries in its place.
            traces: Begins the traces.
            limits: Ends requests that ask for too much.
            rates: Limits how often a caller may send requests; None: as often as it likes.
            cors: The origins whose pages may read refusals; None: none.
        """
        self._app, self._fast_path, self._traces, self._limits = app, fast_path, traces, limits
        self._waiting, self._rates, self._cors = limits.waiting, rates, cors or Cors("")
        self._cached_series = series("POST", PRICE_PATH, 200, "cache")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        started = time.monotonic()
        if not self._fast_path.takes(scope):
            if scope["type"] == ScopeType.HTTP:
                await self._through_the_framework(scope, receive, send, self._trace(scope), started)
            else:
                await self._app(scope, receive, send)
            return
        waiting = self._waiting
        waiting.add(coming := receive())
        try:
            message = await coming
        except asyncio.CancelledError:
            if coming in waiting:
                raise
            await self._refuse_slow(scope, send, started)
            return
        finally:
            waiting.discard(coming)
        plain = self._fast_path.plain_body(scope, message)
        trace = self._traces.begin_read(scope) if plain is None else self._traces.begin_new(scope)
        found = self._fast_path.at_once(scope, plain) if plain is not None and trace.span is None else None
        if not isinstance(found, bytes):
            await self._price(scope, message, receive, send, trace, started, plain, found)
            return
        try:
            # The server counts the length of a body that comes at once.
            await send({"type": "http.response.start", "status": 200, "headers": [JSON, NOSNIFF, trace.header]})
            await send({"type": "http.response.body", "body": found, "more_body": False})
        finally:
            observe(self._cached_series, started)

    async def _refuse_slow(self, scope: HTTPScope, send: Send, started: float) -> None:
        """Answer a price query whose body is late."""
        trace = self._traces.begin_read(scope)
        with trace.entered():
            late = render(self._limits.slow(), PRICE_PATH)
        try:
            await answer_whole(late._replace(headers=(*late.headers, trace.header)), send)
        finally:
            observe(series("POST", PRICE_PATH, late.status, ""), started)
            trace.end("POST", PRICE_PATH, late.status)

    async def _price(
        self,
        scope: HTTPScope,
        message: ReceiveMessage,
        receive: Receive,
        send: Send,
        trace: RequestTrace,
        started: float,
        plain: bytes | None,
        query: PriceQuery | None,
    ) -> None:
        """Answer a price query that has no answer at once, or whose trace is recorded."""
        # The status of a request that ends without an answer.
        status, source, is_left = 500, "", False
        try:
            answer = await self._fast_path.answer(scope, message, trace, plain, query)
            if answer is None:
                is_left = True
            else:
                status, source = answer.status, answer.source
                headers = [*answer.headers, NOSNIFF, trace.header]
                await send({"type": "http.response.start", "status": status, "headers": headers})
                await send({"type": "http.response.body", "body": answer.body, "more_body": False})
        finally:
            if not is_left:
                is_cached = status == 200 and source == "cache"
                observe(self._cached_series if is_cached else series("POST", PRICE_PATH, status, source), started)
                trace.end("POST", PRICE_PATH, status)
        if is_left:
            await self._through_the_framework(scope, _again(message, receive), send, trace, started)

    def _trace(self, scope: HTTPScope) -> RequestTrace | None:
        if scope["path"] in READ_PATHS:
            return self._traces.begin_read(scope)
        return None if scope["path"].startswith(UNTRACED) else self._traces.begin_other(scope)

    async def _through_the_framework(
        self, scope: HTTPScope, receive: Receive, send: Send, trace: RequestTrace | None, started: float
    ) -> None:
        status, limit, is_noted = 500, dict[str, str](), False

        def note() -> None:
            nonlocal is_noted
            is_noted = True
            method = scope["method"]
            route = str(scope.get("path_template") or "unmatched")
            observe(series(method, route, status, scope.get("state", {}).get(SOURCE, "")), started)
            if trace is not None:
                trace.end(method, route, status)

        async def observed_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if status == 200 and scope["path"] in STREAM_PATHS:
                    note()  # a stream has no end: what counts is the time to its beginning
                more = [(name.encode(), value.encode()) for name, value in limit.items()]
                if trace is not None:
                    more.append(trace.header)
                message["headers"] = [*message.get("headers", ()), *more]
            await send(message)

        try:
            with trace.entered() if trace is not None else nullcontext():
                try:
                    with self._limits.admitted(scope) as kind:
                        if self._rates is not None:
                            limit = await self._rates.take(scope, kind)
                        await self._app(scope, self._limits.in_time(receive), observed_send)
                except (UrlTooLong, Overloaded, RateLimited) as error:
                    named = error.headers if isinstance(error, RateLimited) else None
                    refusal = render(error, scope["path"][:INSTANCE_CHARACTERS], named)
                    headers = [*refusal.headers, *self._cors.headers(scope["headers"], b"")]
                    await answer_whole(refusal._replace(headers=headers), observed_send)
        finally:
            if self._rates is not None:
                self._rates.note(scope, status)
            if not is_noted:
                note()


def _again(message: ReceiveMessage, receive: Receive) -> Receive:
    """ASGI's `receive`, with a message that was taken already."""
    taken = [message]

    async def receive_again() -> ReceiveMessage:
        return taken.pop() if taken else await receive()

    return receive_again
