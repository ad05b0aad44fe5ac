"""Limits of one API process: the time of a body, the length of a URL, and the time to end after SIGTERM."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import cast

from litestar.types import HTTPScope, Receive, ReceiveMessage, Send

from api.bulkheads import Bulkheads, BulkheadThreads, Traffic
from api.edge.protocol import NOSNIFF
from api.http.answers import CONSOLE_PATH, LIVE_PATH, READ_PATHS
from api.http.problems import Rendered
from shared.errors import PricingError, SlowBody, UrlTooLong

MAX_URL_BYTES = 8_192
# A body may take a second longer for each of these bytes.
BYTES_PER_S = 50_000
STREAM_PATH = "/api/v1/price-changes"
STREAM_PATHS: dict[str, Traffic] = {STREAM_PATH: "streams", LIVE_PATH: "overviews"}
SWEEP_S = 0.25
# After SIGTERM: the time for bodies on their way, and then between looks at the requests under way.
DRAIN_S, DRAIN_POLL_S = 1.0, 0.1


class Limits:
    """Ends requests that take too long to arrive, or that hold up the end of the process.

    Attributes:
        bulkheads: The requests under way.
        waiting: The first messages that price queries wait for. A sweep over all of them cancels the late ones, since a
            timer for each would cost more than a price. A request whose message is gone from here is late.
    """

    def __init__(self, body_timeout_s: float, port: int, most_requests: int = 256, most_streams: int = 1_000) -> None:
        """Limits of one process.

        Args:
            body_timeout_s: The time for a body, beside a second for each 50 kB.
            port: The port that the API listens on.
            most_requests: The largest number of requests under way of each kind.
            most_streams: The largest number of open streams.
        """
        self.waiting: set[Awaitable[ReceiveMessage]] = set()
        self._body_timeout_s, self._port = body_timeout_s, port
        self._since: dict[Awaitable[ReceiveMessage], float] = {}
        self._reading: set[asyncio.Timeout] = set()
        self.bulkheads = Bulkheads(most_requests, most_streams)
        self._draining: asyncio.Task[None] | None = None
        self._on_drain: Callable[[], None] = lambda: None

    def on_drain(self, end: Callable[[], None]) -> None:
        """Call this on SIGTERM: it ends what would go on for ever."""
        self._on_drain = end

    @asynccontextmanager
    async def in_force(self) -> AsyncIterator[None]:
        """Sweep for late bodies within the block, and drain on SIGTERM.

        The server's own handler of SIGTERM is one of the event loop, which is called as well.
        """
        loop = asyncio.get_running_loop()
        threads = BulkheadThreads()
        loop.set_default_executor(threads)
        sweeping = loop.create_task(self._sweep())
        former = signal.signal(signal.SIGTERM, lambda *_: loop.call_soon_threadsafe(self.drain))
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, former)
            sweeping.cancel()
            threads.shutdown(wait=False)
            if self._draining is not None:
                self._draining.cancel()

    @contextmanager
    def admitted(self, scope: HTTPScope) -> Iterator[Traffic]:
        """Count a request as under way within the block, by its kind.

        Raises:
            UrlTooLong: its path and query are too long.
            Overloaded: its kind has its number.
        """
        if len(scope["path"]) + len(scope["query_string"]) > MAX_URL_BYTES:
            raise UrlTooLong(f"path and query have more than {MAX_URL_BYTES:,} bytes")
        kind = kind_of(scope)
        with self.bulkheads.taken(kind):
            yield kind

    def in_time(self, receive: Receive) -> Receive:
        """ASGI's `receive`, until the body is whole.

        Raises:
            SlowBody: the body did not come in time.
        """
        began, received, is_whole = asyncio.get_running_loop().time(), 0, False

        async def receive_in_time() -> ReceiveMessage:
            nonlocal received, is_whole
            if is_whole:
                return await receive()
            reading = asyncio.timeout_at(began + self._body_timeout_s + received / BYTES_PER_S)
            self._reading.add(reading)
            try:
                async with reading:
                    message = await receive()
            except TimeoutError:
                raise self.slow() from None
            finally:
                self._reading.discard(reading)
            if message["type"] == "http.request":
                received += len(message["body"])
            is_whole = message["type"] != "http.request" or not message["more_body"]
            return message

        return receive_in_time

    def drain(self) -> None:
        """End the requests whose bodies are not on their way; called on SIGTERM."""
        loop = asyncio.get_running_loop()
        self._body_timeout_s = min(self._body_timeout_s, DRAIN_S)
        for reading in self._reading:
            reading.reschedule(min(reading.when() or loop.time(), loop.time() + DRAIN_S))
        self._on_drain()
        self._draining = self._draining or loop.create_task(self._hang_up())

    async def _hang_up(self) -> None:
        """Close the connections that are left once no request is under way: the server waits for half a header."""
        await asyncio.sleep(DRAIN_S)
        while True:
            if not self.waiting and self.bulkheads.are_empty:
                hang_up(self._port)
            await asyncio.sleep(DRAIN_POLL_S)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            now = time.monotonic()
            self._since = {message: self._since.get(message, now) for message in self.waiting}
            for message, since in self._since.items():
                if now - since > self._body_timeout_s:
                    self.waiting.discard(message)
                    cast(asyncio.Future[ReceiveMessage], message).cancel()

    def slow(self) -> PricingError:
        """The error of a request whose body is late."""
        return SlowBody(f"the body did not come within {self._body_timeout_s:g} s")


def kind_of(scope: HTTPScope) -> Traffic:
    """The kind of a request."""
    path = scope["path"]
    if path.startswith("/health"):
        return "health"
    if path == "/metrics":
        return "metrics"
    if path in READ_PATHS:
        return "prices"
    if path in STREAM_PATHS:
        return STREAM_PATHS[path]
    if path.startswith(CONSOLE_PATH):
        return "console"
    return "reads" if scope["method"] in {"GET", "HEAD", "OPTIONS"} else "writes"


async def answer_whole(rendered: Rendered, send: Send) -> None:
    """Send a complete response."""
    headers = [*rendered.headers, NOSNIFF]
    await send({"type": "http.response.start", "status": rendered.status, "headers": headers})
    await send({"type": "http.response.body", "body": rendered.body, "more_body": False})


def hang_up(port: int) -> None:
    """Close the connections of this process to a port of its own."""
    for path in Path("/dev/fd").iterdir():
        with suppress(OSError):
            if path.is_socket():
                with socket.socket(fileno=os.dup(int(path.name))) as connection:
                    if connection.family in {socket.AF_INET, socket.AF_INET6} and connection.getsockname()[1] == port:
                        connection.shutdown(socket.SHUT_RDWR)
