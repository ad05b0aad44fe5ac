"""The ceiling reads a body as the engine's fast path does: once where its length is announced."""

import asyncio
from typing import Any

import pytest

from tests.bench.ceiling import BODY, START, app

QUERY = b'{"product_id":"P-1"}'


def received(*chunks: bytes, headers: list[tuple[bytes, bytes]]) -> int:
    """How often the ceiling receives until it has answered; only the last chunk is the end."""
    waiting = [
        {"type": "http.request", "body": chunk, "more_body": number < len(chunks)}
        for number, chunk in enumerate(chunks, 1)
    ]
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return waiting.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app({"type": "http", "method": "POST", "headers": headers}, receive, send))
    assert sent == [START, BODY]
    return len(chunks) - len(waiting)


def test_a_body_as_long_as_announced_is_received_once() -> None:
    assert received(QUERY, b"", headers=[(b"host", b"x"), (b"content-length", b"%d" % len(QUERY))]) == 1


@pytest.mark.parametrize("headers", [[], [(b"content-length", b"%d" % len(QUERY))]])
def test_a_body_in_parts_is_received_to_its_end(headers: list[tuple[bytes, bytes]]) -> None:
    assert received(QUERY[:7], QUERY[7:], b"", headers=headers) == (2 if headers else 3)
