"""Callers that hold connections or bodies: they hold nobody else."""

import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from http.client import HTTPConnection

from tests.chaos.case import Case, Figure, at_most
from tests.chaos.context import Context

IDLE = 8_193
# Open files of this process besides.
OTHER_FILES = 1_000
HELD_S, QUICK_S = 20.0, 5.0
LIVE_S = 1.0
BODIES = 400
POLL_S = 0.25


def _idle(context: Context) -> Figure:
    """Connections that send nothing; as many as this machine lets one process have, up to 8,193."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        most = IDLE if hard == resource.RLIM_INFINITY else min(IDLE, hard - OTHER_FILES)
        with _held(context, most, b"") as open_:
            worst, asked = _health(context)
            return Figure(
                f"{open_:,} silent connections, /health/live within {worst:.2f} s at worst of {asked}",
                at_most("/health/live", worst, LIVE_S),
            )
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _slow_bodies(context: Context) -> Figure:
    """Bodies that come byte by byte, to prices and to writes; each ends with 408."""
    key = context.environment.engine.key
    heads = [
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nContent-Length: 1000\r\n\r\n{{"
        for path in ("/api/v1/price", "/api/v1/prices", "/api/v1/publish-market-event")
    ]
    with ExitStack() as stack:
        trickling = [stack.enter_context(_trickling(context, BODIES // len(heads), head.encode())) for head in heads]
        worst, asked = _health(context)
        ended = [_ended(bodies) for bodies in trickling]
    misses = at_most("/health/live", worst, LIVE_S)
    if wrong := {start for starts in ended for start in starts if not start.startswith(b"HTTP/1.1 408 ")}:
        misses.append(f"slow bodies ended otherwise than with 408: {sorted(wrong)[:3]}")
    count = sum(map(len, ended))
    return Figure(f"{count} slow bodies ended with 408, /health/live within {worst:.2f} s of {asked}", misses)


def _health(context: Context) -> tuple[float, int]:
    """The longest answer of /health/live, each over a connection of its own, and the number of answers."""
    port = context.environment.engine.settings.port
    end, worst, asked = time.monotonic() + (QUICK_S if context.quick else HELD_S), 0.0, 0
    while time.monotonic() < end:
        began = time.monotonic()
        with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as http:
            http.request("GET", "/health/live")
            assert http.getresponse().status == 200
        worst, asked = max(worst, time.monotonic() - began), asked + 1
        time.sleep(POLL_S)
    return worst, asked


@contextmanager
def _held(context: Context, count: int, sent: bytes) -> Iterator[int]:
    address = ("127.0.0.1", context.environment.engine.settings.port)
    with ExitStack() as stack:
        for _ in range(count):
            connection = stack.enter_context(socket.create_connection(address, timeout=60))
            connection.sendall(sent)
        yield count


@contextmanager
def _trickling(context: Context, count: int, head: bytes) -> Iterator[list[socket.socket]]:
    """Connections that send a byte a second after this head."""
    address, stop = ("127.0.0.1", context.environment.engine.settings.port), threading.Event()
    with ExitStack() as stack:
        connections = [stack.enter_context(socket.create_connection(address, timeout=60)) for _ in range(count)]
        for connection in connections:
            connection.sendall(head)

        def trickle() -> None:
            while not stop.wait(1):
                for connection in connections:
                    with suppress(OSError):
                        if not _has_answer(connection):
                            connection.sendall(b" ")

        thread = threading.Thread(target=trickle, daemon=True)
        thread.start()
        try:
            yield connections
        finally:
            stop.set()
            thread.join(timeout=60)


def _has_answer(connection: socket.socket) -> bool:
    try:
        connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    return True


def _ended(connections: list[socket.socket]) -> list[bytes]:
    """The beginning of each connection's answer."""
    answers = []
    for connection in connections:
        try:
            answers.append(connection.recv(64))
        except OSError as error:
            answers.append(str(error).encode())
    return answers


CASES = (
    Case(
        "idle-connections",
        "8,193 connections that send nothing",
        "/health/live ≤ 1 s, no read failed",
        _idle,
        limit_s=180,
    ),
    Case(
        "slow-bodies",
        "400 bodies that come byte by byte",
        "each ends with 408, /health/live ≤ 1 s, no read failed",
        _slow_bodies,
        limit_s=180,
    ),
)
