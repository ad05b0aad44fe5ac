"""`python -m tests.bench.ceiling`: what Granian and msgspec alone can do: decode the query, answer fixed bytes."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from api.__main__ import BACKLOG, MAX_HEAD_BYTES
from shared import settings
from shared.pricing.query import PriceQuery

ANSWER = (
    b'{"product_id":"B-0000","currency":"USD","quantity":1,"base_price":"42.00","final_price":"40.82","total":"40.82",'
    b'"discount_rate":"0.05","market":"NY","version":1,"computed_at":"2026-11-22T13:46:28.340894Z","valid_until":null,'
    b'"source":"cache"}'
)
START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))],
}
BODY = {"type": "http.response.body", "body": ANSWER}
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_decoder = msgspec.json.Decoder(PriceQuery)


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """The least that an ASGI application can do with a query."""
    if scope["type"] == "lifespan":
        for event in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{event}.complete"})
        return
    if scope["method"] == "POST":
        message = await receive()
        body = message["body"]
        # As long as announced: asking for the end would be a second round through the server, as in the engine.
        while message["more_body"] and (b"content-length", b"%d" % len(body)) not in scope["headers"]:
            message = await receive()
            body += message["body"]
        _decoder.decode(body)
    await send(START)
    await send(BODY)


def main() -> None:
    """Serve until SIGTERM, with the options of the engine's own API."""
    from granian.constants import HTTPModes, Interfaces, Loops
    from granian.http import HTTP1Settings
    from granian.server import Server

    known = settings.load()
    Server(
        "tests.bench.ceiling:app",
        interface=Interfaces.ASGI,
        loop=Loops.uvloop,
        address=known.host,
        port=known.port,
        workers=1,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=known.idle_timeout_s * 1000, max_buffer_size=MAX_HEAD_BYTES),
        websockets=False,
        backlog=BACKLOG,
        backpressure=BACKLOG,
        respawn_failed_workers=True,
        workers_kill_timeout=known.drain_timeout_s,
        log_enabled=False,
    ).serve()


if __name__ == "__main__":
    main()
