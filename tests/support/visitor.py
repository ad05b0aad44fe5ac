"""One connection through a proxy: its bytes go on, unless they vanish or spring a trap."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from tests.support.trap import Fate, Trap

OPENING_BYTES = 4_096


class Visitor:
    """Passes on requests and replies.

    Attributes:
        port: Where it comes from.
        opening: The first bytes that it sent.
        is_stalled: Whether its bytes vanish, both ways.
    """

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self._near, self._far = near, far
        self.port: int = near.get_extra_info("peername")[1]
        self.opening = b""
        self.is_stalled = False
        # The trap that may swallow the reply to the request under way, and whether it does.
        self._owed: Trap | None = None
        self._swallows = False

    def abort(self) -> None:
        """End it at once."""
        self._near.transport.abort()
        self._far.transport.abort()

    async def requests(self, reader: asyncio.StreamReader, traps: Sequence[Trap]) -> None:
        """Pass requests on until they end; `traps` may change meanwhile."""
        async for data in _pieces(reader, self._far):
            self._owed, self._swallows = None, False
            if len(self.opening) < OPENING_BYTES:
                self.opening += data
            for trap in list(traps):
                await self._meet(trap, data)
            if not self.is_stalled:
                self._far.write(data)
                await self._far.drain()

    async def replies(self, reader: asyncio.StreamReader, delay_s: Callable[[], float]) -> None:
        """Pass replies on until they end, each piece that much later."""
        async for data in _pieces(reader, self._near):
            if delay := delay_s():
                await asyncio.sleep(delay)
            if not self.is_stalled and not self._swallowed(data):
                self._near.write(data)
                await self._near.drain()

    async def _meet(self, trap: Trap, request: bytes) -> None:
        if not trap.matches(request):
            return
        if trap.fate is Fate.UNANSWERED:
            self._owed = trap
        elif await trap.springs(request, self.port):
            if trap.fate is Fate.CUT:
                self.is_stalled = True
                self.abort()
            elif trap.fate is Fate.HELD:
                await trap.released()

    def _swallowed(self, reply: bytes) -> bool:
        """Whether this piece belongs to a reply that is lost: the whole of it, up to the next request."""
        trap = self._owed
        if not self._swallows and trap and len(trap.sprung) < trap.times and trap.reply(reply):
            trap.note(self.port)
            self._swallows = True
        self._owed = None
        return self._swallows


async def _pieces(reader: asyncio.StreamReader, to: asyncio.StreamWriter) -> AsyncIterator[bytes]:
    """What comes, until its end, which is passed on; a broken connection is an end."""
    try:
        while data := await reader.read(65_536):
            yield data
    except OSError:
        pass
    finally:
        to.close()
