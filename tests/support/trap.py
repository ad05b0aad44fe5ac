"""What a proxy does to a request that is recognized by its bytes: at that very moment, and to nothing else."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum

import psutil

from tests.support.waiting import eventually


class Fate(Enum):
    """What becomes of a request that sprang a trap."""

    PASSED = "passed on"
    HELD = "kept back until the trap is released, then passed on"
    CUT = "not passed on; its connection ends"
    UNANSWERED = "passed on, and its reply swallowed"


@dataclass(frozen=True)
class Sprung:
    """A request that sprang a trap: the port that it came from, and when, by the monotonic clock."""

    port: int
    at: float


@dataclass
class Trap:
    """Waits for requests that contain all of its marks.

    Attributes:
        marks: Bytes that stand in the request, within what its sender writes at once.
        fate: What becomes of such a request.
        times: How often it springs.
        act: Called with the sender's port before the request meets its fate; answers whether this one counts.
        reply: Whether a reply is one to swallow; another one is passed on, and the trap stays set.
        sprung: What it has caught so far.
    """

    marks: tuple[bytes, ...]
    fate: Fate = Fate.PASSED
    times: int = 1
    act: Callable[[int], bool] = lambda _: True
    reply: Callable[[bytes], bool] = lambda _: True
    sprung: list[Sprung] = field(default_factory=list)
    _released: threading.Event = field(default_factory=threading.Event)
    _springing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def matches(self, request: bytes) -> bool:
        """Whether the trap is set for this request."""
        return len(self.sprung) < self.times and all(mark in request for mark in self.marks)

    async def springs(self, request: bytes, port: int) -> bool:
        """Spring, once `act` has been done and answered that this request counts."""
        async with self._springing:
            # What it does may look for a process, which takes a while: other connections go on meanwhile.
            if not self.matches(request) or not await asyncio.to_thread(self.act, port):
                return False
            self.note(port)
            return True

    def note(self, port: int) -> None:
        """Spring."""
        self.sprung.append(Sprung(port, time.monotonic()))

    def wait(self, what: str, deadline_s: float = 60.0) -> Sprung:
        """What it caught last, once it has caught as often as it was to."""
        eventually(lambda: len(self.sprung) >= self.times, what, deadline_s)
        return self.sprung[-1]

    def release(self) -> None:
        """Pass on what is held."""
        self._released.set()

    async def released(self) -> None:
        """Wait for the release."""
        while not self._released.is_set():
            await asyncio.sleep(0.02)


def process_at(port: int, among: Iterable[psutil.Process]) -> psutil.Process | None:
    """Which of these processes has a connection with this local port."""
    for process in among:
        with suppress(psutil.Error):
            if any(connection.laddr[1:2] == (port,) for connection in process.net_connections("tcp")):
                return process
    return None
