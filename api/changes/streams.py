"""The streams: a loop reads the log, and gives each client as much as its connection takes."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable

import structlog

from api.changes import ring, sockets
from api.changes.agenda import Agenda
from api.changes.ring import Ring
from api.changes.sockets import Peer
from shared.access.keys import LiveKey
from shared.changes import log as change_log
from shared.changes.entries import Entry, Wanted
from shared.changes.log import Part
from shared.errors import DatabaseUnavailable, translated
from shared.postgres.pools import AsyncPool, bounded
from shared.telemetry.metrics import STREAMS, STREAMS_ENDED

log = structlog.get_logger(__name__)

TURN_S, BUSY_TURN_S = 0.05, 0.02
HEARTBEAT_S = 15.0
CHECK_S = 1.0
# What the server holds for a client beside the kernel's buffers.
SLICE = 64_000
# One that has not taken all is asked again after this share of the time that it has taken so far: a thousand slow ones
# cost little, and none waits much longer than it takes itself.
LATER, LATEST_LOOK_S = 0.25, 1.0
# A connection that is not found in so many looks over the process's files is not looked for any more.
MOST_LOOKS = 20
NOT_FOUND = -1
# The connection of a slow client is closed after this, whether it has read the reason or not.
LAST_READ_S = 5.0
# Entries from before the start of the process.
PRELOADED = 100
CATCH_UP = Part(0, limit=100, most_bytes=SLICE)


class Client:
    """One stream.

    Attributes:
        position: Every entry up to this id was sent, or is in `unsent`.
        fd: Its connection; None: not found yet.
        taken_at: When it took the last of what it was given, or was given more.
        is_gone: Its connection is closed.
    """

    def __init__(self, key: LiveKey | None, wanted: Wanted, position: int, peer: Peer) -> None:
        self.key, self.wanted, self.position, self.peer = key, wanted, position, sockets.plain(peer)
        self.fd: int | None = None
        self.looks = 0
        self.unsent = memoryview(ring.RETRY)
        self.reason = ""
        self.is_gone = False
        self.taken_at = self.beat_at = time.monotonic()
        self.ready = asyncio.Event()

    @property
    def is_free(self) -> bool:
        """Whether its connection has taken all that was sent."""
        return not self.ready.is_set() and (self.fd is None or sockets.unreceived(self.fd) == 0)

    def end(self, reason: str) -> None:
        """Let the stream end with a reason, behind what is being sent."""
        if not self.reason:
            self.reason = reason
            STREAMS_ENDED.labels(reason).inc()
            self.ready.set()


class ChangeStreams:
    """The streams of one process.

    Attributes:
        ending: Set when the process shuts down.
    """

    def __init__(
        self, database: AsyncPool, port: int, is_live: Callable[[LiveKey], bool], timeout_s: float = 30.0
    ) -> None:
        """The streams; `run` serves them.

        Args:
            database: The read path's pool: one connection is used at a time.
            port: The port that the API listens on.
            is_live: Whether a key is neither revoked nor expired.
            timeout_s: A client that takes nothing for so long, with something to take, is ended.
        """
        self._timeout_s = timeout_s
        self._database, self._port, self._is_live = database, port, is_live
        self._clients: set[Client] = set()
        self._unfound: set[Client] = set()
        self._agenda, self._served = Agenda[Client](), 0
        self._begun = asyncio.Event()
        self._ring: Ring | None = None
        self._checked_at = 0.0
        self.ending = asyncio.Event()
        self._is_up = True

    async def open(self, key: LiveKey | None, wanted: Wanted, after: int | None, peer: Peer) -> AsyncIterator[bytes]:
        """A new stream of the entries behind an id; None: behind the newest one.

        Raises:
            ChangesGone: the log cannot go on behind that id.
            DatabaseUnavailable: PostgreSQL is away.
        """
        # While there are clients, the entries in memory are the newest: many that connect at once need no query.
        held = self._ring if self._clients and self._is_up else None
        if held is not None and after is None:
            after = held.last
        elif held is None or after is None or not held.knows(after):
            with translated():
                if after is None:
                    after = await bounded(change_log.last_id(self._database))
                else:
                    await bounded(change_log.check_async(self._database, after))
        return self._chunks(Client(key, wanted, after, peer))

    def end(self) -> None:
        """End all streams, and each new one at once: the process shuts down."""
        self.ending.set()
        for client in self._clients:
            client.end("shutdown")

    async def run(self) -> None:
        """Loop: read the log while there are clients, and serve them."""
        while True:
            if not self._clients:
                self._begun.clear()
                await self._begun.wait()
            is_busy = False
            try:
                with translated():
                    await self._read()
                    is_busy = await self._serve()
                self._is_up = True
            except DatabaseUnavailable as error:
                if self._is_up:
                    log.warning("the log of changes is not read, streams wait", error=str(error))
                self._is_up = False
            except Exception:
                log.exception("the log of changes cannot be read")
            await asyncio.sleep(BUSY_TURN_S if is_busy else TURN_S)

    async def _chunks(self, client: Client) -> AsyncIterator[bytes]:
        self._add(client)
        STREAMS.inc()
        if self.ending.is_set():
            client.end("shutdown")
        try:
            while not client.reason:
                if client.unsent:
                    part, client.unsent = client.unsent[:SLICE], client.unsent[SLICE:]
                    client.taken_at = time.monotonic()
                    yield bytes(part)
                client.ready.clear()
                if not client.reason:
                    await client.ready.wait()
            # A message that was begun is ended first.
            yield bytes(client.unsent) + ring.ending(client.reason)
        finally:
            self._drop(client)
            STREAMS.dec()
            if client.reason == "slow" and client.fd is not None:
                asyncio.get_running_loop().call_later(LAST_READ_S, sockets.hang_up, client.fd, client.peer)

    def _add(self, client: Client) -> None:
        self._clients.add(client)
        self._unfound.add(client)
        self._agenda.look_at(client, client.taken_at)
        self._begun.set()

    def _drop(self, client: Client) -> None:
        client.is_gone = True
        for group in (self._clients, self._unfound, self._agenda.resting):
            group.discard(client)

    async def _read(self) -> None:
        """Read what is new in the log."""
        last = await bounded(change_log.last_id(self._database))
        held = self._ring
        if held is None or last < held.last:
            held = self._ring = Ring(max(0, last - PRELOADED))
        while held.last < last:
            fresh = await bounded(change_log.read_async(self._database, Part(held.last, until=last)))
            if not fresh:
                held.last = last  # dropped by retention, or never kept
            held.add(fresh)

    async def _serve(self) -> bool:
        """Give each client what its connection takes; returns whether one wants more."""
        assert self._ring is not None  # noqa: S101 # `_read` makes it
        now = time.monotonic()
        self._find_connections()
        if now - self._checked_at >= CHECK_S:
            self._checked_at = now
            self._end_without_keys()
            self._agenda.wake({client for client in self._agenda.resting if _is_due(client, now)})
        if self._ring.last != self._served:
            self._served = self._ring.last
            self._agenda.wake(set(self._agenda.resting))
        is_busy = False
        for client in self._agenda.due(now):
            if client.is_gone or client.reason:
                continue
            try:
                is_busy |= await self._look(client, self._ring, now)
            except Exception:
                self._agenda.look_at(client, now)
                raise
        return is_busy

    async def _look(self, client: Client, held: Ring, now: float) -> bool:
        """Give a client what its connection takes, and note its next look; returns whether it wants more at once."""
        if not (client.unsent or client.position < held.last or _is_due(client, now)):
            self._agenda.rest(client)
            return False
        if not client.is_free:
            if now - client.taken_at > self._timeout_s:
                client.end("slow")
            self._agenda.look_at(client, now + min(LATER * (now - client.taken_at), LATEST_LOOK_S))
            return False
        if not client.unsent:
            await self._fill(client, held, now)
        if client.unsent:
            client.beat_at = now
            client.ready.set()
        client.taken_at = now
        if len(client.unsent) > SLICE or client.position < held.last:
            self._agenda.look_at(client, now)
            return bool(client.unsent)
        self._agenda.rest(client)
        return False

    async def _fill(self, client: Client, held: Ring, now: float) -> None:
        """Put the next events of a client into `unsent`: about a slice."""
        found: Iterable[Entry] = held.after(client.position)
        if client.position < held.start:
            found = await bounded(change_log.read_async(self._database, CATCH_UP._replace(after=client.position)))
        parts, length = [], 0
        for entry in found:
            text = held.encoded(entry, client.wanted)
            client.position = entry.change_id
            if text:
                parts.append(text)
                length += len(text)
            if length >= SLICE:
                break
        if not parts and _is_due(client, now):
            parts.append(ring.heartbeat(client.position))
        client.unsent = memoryview(parts[0] if len(parts) == 1 else b"".join(parts))

    def _find_connections(self) -> None:
        if not self._unfound:
            return
        unfound = {client.peer: client for client in self._unfound}
        for peer, fd in sockets.of_peers(unfound, self._port).items():
            unfound[peer].fd = fd
        for client in unfound.values():
            client.looks += 1
            if client.fd is None and client.looks == MOST_LOOKS:
                client.fd = NOT_FOUND
        self._unfound = {client for client in self._unfound if client.fd is None}

    def _end_without_keys(self) -> None:
        dead = {key for key in {client.key for client in self._clients} if key is not None and not self._is_live(key)}
        for client in self._clients:
            if client.key in dead:
                client.end("key")


def _is_due(client: Client, now: float) -> bool:
    """Whether it is time for a heartbeat."""
    return now - client.beat_at >= HEARTBEAT_S
