"""The overview as it changes, as server-sent events."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, NamedTuple

from litestar import Request, get
from litestar.response import Stream

from api.console import access
from api.console.pages import overview
from api.console.rendering import part
from api.edge.identity import needs
from api.http.answers import CONSOLE_PATH, LIVE_PATH
from api.http.negotiation import EVENT_STREAM
from api.services import Services
from shared.errors import DatabaseUnavailable

TURN_S = 2.0
# Then the browser connects again: no stream goes on for ever, and what a browser does not read stays small.
LASTS_S = 300.0
RETRY = b"retry: 1000\n\n"
END = "event: end\ndata: session\n\n"
HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


@get(LIVE_PATH.removeprefix(CONSOLE_PATH), guards=[needs("catalogue:read")], media_type=EVENT_STREAM)
async def live(request: Request[Any, Any, Any], services: Services) -> Stream:
    """Stream the changing part of the overview: events `now`, and `end` where the session is over."""
    return Stream(_events(services, access.token_of(request)), media_type=EVENT_STREAM, headers=HEADERS)


async def _events(services: Services, token: str) -> AsyncIterator[bytes]:
    ends_at = time.monotonic() + LASTS_S
    yield RETRY
    while not services.streams.ending.is_set() and time.monotonic() < ends_at:
        try:
            if await access.session_in_force(services, token) is None:
                yield END.encode()
                return
            text = await _board.text(services)
        except DatabaseUnavailable:
            return  # the next connection is refused, which the page tells
        yield _event("now", text)
        with suppress(TimeoutError):
            await asyncio.wait_for(services.streams.ending.wait(), TURN_S)


def _event(name: str, text: str) -> bytes:
    lines = "".join(f"data: {line}\n" for line in text.splitlines())
    return f"event: {name}\n{lines}\n".encode()


class _Shown(NamedTuple):
    at: float
    text: str


class _Board:
    """Renders once a turn, however many look."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._shown = _Shown(float("-inf"), "")

    async def text(self, services: Services) -> str:
        async with self._lock:
            if time.monotonic() - self._shown.at >= TURN_S / 2:
                values = await overview.current(services)
                self._shown = _Shown(time.monotonic(), part("overview-now.html", **values))
            return self._shown.text


_board = _Board()
HANDLERS = (live,)
