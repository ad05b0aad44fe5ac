"""A gate in front of a server: while it is shut, whoever comes is turned away, and whoever is in is put out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit


class Gate:
    """Listens on a free port of loopback and passes everything on.

    Attributes:
        visits: How many connections were asked for.
        is_open: Whether they are passed on.
    """

    def __init__(self, url: str) -> None:
        self._behind = urlsplit(url)
        self._inside: set[asyncio.StreamWriter] = set()
        self._visitors: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server
        self.visits = 0
        self.is_open = True

    @property
    def url(self) -> str:
        """The server's URL, by way of the gate."""
        port: int = self._server.sockets[0].getsockname()[1]
        user, _, _ = self._behind.netloc.rpartition("@")
        return self._behind._replace(netloc=f"{user}@127.0.0.1:{port}").geturl()

    def shut(self) -> None:
        """Turn everybody away from now on."""
        self.is_open = False
        for writer in self._inside:
            writer.transport.abort()

    def open(self) -> None:
        """Pass on again."""
        self.is_open = True

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._welcome, "127.0.0.1", 0)

    async def close(self) -> None:
        """Stop listening."""
        self.shut()
        self._server.close()
        await self._server.wait_closed()
        await asyncio.gather(*self._visitors, return_exceptions=True)

    def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visitor = asyncio.create_task(self._receive(reader, writer))
        self._visitors.add(visitor)
        visitor.add_done_callback(self._visitors.discard)

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits += 1
        if not self.is_open:
            writer.transport.abort()
            return
        behind_reader, behind = await asyncio.open_connection(self._behind.hostname, self._behind.port)
        self._inside |= {writer, behind}
        await asyncio.gather(self._pass_on(reader, behind), self._pass_on(behind_reader, writer))
        self._inside -= {writer, behind}

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def gate_to(url: str) -> AsyncIterator[Gate]:
    """A gate that stands while the block runs."""
    gate = Gate(url)
    await gate.start()
    try:
        yield gate
    finally:
        await gate.close()
