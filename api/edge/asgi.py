"""One ASGI layer around everything: the trace, the metrics, the trace id in the answer."""

import time
from collections.abc import Mapping
from contextlib import nullcontext

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from api.edge import tracing
from api.edge.fast_path import FastPath
from api.edge.metrics import SOURCE, observe
from api.edge.tracing import RequestTrace
from api.http.answers import PRICE_PATH, PRICES_PATH

READS = (PRICE_PATH, PRICES_PATH)
UNTRACED = ("/health", "/metrics", "/docs", "/assets")


class Edge:
    """Wraps the application: a server span continues the caller's trace, every request is timed.

    The answer's `traceresponse` header names the trace, as `00-<trace id>-<span id>-<flags>`.
    """

    def __init__(self, app: ASGIApp, fast_path: FastPath, read_ratio: float) -> None:
        """An edge.

        Args:
            app: The whole application.
            fast_path: Answers the usual price queries in its place.
            read_ratio: Share of price queries whose trace is recorded.
        """
        self._app, self._fast_path, self._read_ratio = app, fast_path, read_ratio

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = dict(scope["headers"])
        if not self._fast_path.takes(scope):
            await self._through_the_framework(scope, receive, send, self._trace(scope, headers), started)
            return
        trace = tracing.begin_read(scope, headers, self._read_ratio)
        # Of a request that ends without an answer, as behind the framework.
        status, source, is_left = 500, "", False
        try:
            answer, receive = await self._fast_path.answer(scope, headers, receive, trace)
            if answer is None:
                is_left = True
            else:
                status, source = answer.status, answer.source
                # The server says how long the body is.
                answered = [*answer.headers, (b"traceresponse", trace.traceresponse)]
                await send({"type": "http.response.start", "status": status, "headers": answered})
                await send({"type": "http.response.body", "body": answer.body, "more_body": False})
        finally:
            if not is_left:
                observe("POST", PRICE_PATH, status, source, started)
                trace.end("POST", PRICE_PATH, status)
        if is_left:
            await self._through_the_framework(scope, receive, send, trace, started)

    def _trace(self, scope: HTTPScope, headers: Mapping[bytes, bytes]) -> RequestTrace | None:
        if scope["path"] in READS:
            return tracing.begin_read(scope, headers, self._read_ratio)
        return None if scope["path"].startswith(UNTRACED) else tracing.begin(scope, headers)

    async def _through_the_framework(
        self, scope: HTTPScope, receive: Receive, send: Send, trace: RequestTrace | None, started: float
    ) -> None:
        status = 500

        async def observed_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if trace is not None:
                    message["headers"] = [*message.get("headers", ()), (b"traceresponse", trace.traceresponse)]
            await send(message)

        try:
            with trace.entered() if trace is not None else nullcontext():
                await self._app(scope, receive, observed_send)
        finally:
            method = scope["method"]
            route = str(scope.get("path_template") or "unmatched")
            observe(method, route, status, scope.get("state", {}).get(SOURCE, ""), started)
            if trace is not None:
                trace.end(method, route, status)
