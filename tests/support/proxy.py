"""A TCP proxy in front of a server, for what a network does: delay, cut, stall, turn away, lose one reply."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from tests.support.trap import Trap
from tests.support.visitor import Visitor


class Proxy:
    """Listens on a free port of loopback, in a thread of its own, and passes everything on.

    Attributes:
        visits: How many connections were asked for.
        is_open: Whether they are passed on.
        delay_s: How long each piece of a reply is kept back.
    """

    def __init__(self, url: str) -> None:
        self._behind = urlsplit(url)
        self._visitors: set[Visitor] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._traps: list[Trap] = []
        self.visits, self.is_open, self.delay_s = 0, True, 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._welcome, "127.0.0.1", 0))

    def url(self, path: str | None = None) -> str:
        """The server's URL, by way of the proxy; with another path (of Redis: the database's number)."""
        port: int = self._server.sockets[0].getsockname()[1]
        user, _, _ = self._behind.netloc.rpartition("@")
        changed = self._behind._replace(netloc=f"{user}@127.0.0.1:{port}")
        return (changed if path is None else changed._replace(path=path)).geturl()

    def shut(self) -> None:
        """Turn everybody away from now on, and put out whoever is in."""
        self.is_open = False
        self._loop.call_soon_threadsafe(self._abort, lambda _: True)

    def open(self) -> None:
        """Pass on again."""
        self.is_open = True

    def black_hole(self, mark: bytes = b"") -> int:
        """Let the bytes of present connections that began with this mark vanish; how many these are."""
        found = [visitor for visitor in self._visitors if mark in visitor.opening]
        for visitor in found:
            visitor.is_stalled = True
        return len(found)

    def heal(self) -> None:
        """End the connections whose bytes vanished, of which nobody could make sense any more."""
        self._loop.call_soon_threadsafe(self._abort, lambda visitor: visitor.is_stalled)

    @contextmanager
    def trap(self, trap: Trap) -> Iterator[Trap]:
        """Set a trap within the block; what it holds is released after it."""
        self._traps.append(trap)
        try:
            yield trap
        finally:
            self._traps.remove(trap)
            trap.release()

    def close(self) -> None:
        """Stop listening, and end every connection; again changes nothing."""
        if self._loop.is_closed():
            return
        self.is_open = False
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    def _run(self, work: Coroutine[None, None, asyncio.Server]) -> asyncio.Server:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    async def _close(self) -> asyncio.Server:
        self._server.close()
        self._abort(lambda _: True)
        for trap in self._traps:
            trap.release()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return self._server

    def _abort(self, chosen: Callable[[Visitor], bool]) -> None:
        for visitor in filter(chosen, list(self._visitors)):
            visitor.abort()

    def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._receive(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits += 1
        try:
            if not self.is_open:
                raise ConnectionRefusedError
            far_reader, far = await asyncio.open_connection(self._behind.hostname, self._behind.port)
        except OSError:
            writer.transport.abort()
            return
        visitor = Visitor(writer, far)
        self._visitors.add(visitor)
        try:
            replies = visitor.replies(far_reader, lambda: self.delay_s)
            await asyncio.gather(visitor.requests(reader, self._traps), replies)
        finally:
            self._visitors.discard(visitor)


@contextmanager
def proxy_to(url: str) -> Iterator[Proxy]:
    """A proxy that stands while the block runs."""
    proxy = Proxy(url)
    try:
        yield proxy
    finally:
        proxy.close()
