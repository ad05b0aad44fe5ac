"""Bodies that come too late or not whole, URLs that are too long, and connections that hold up the end."""

import asyncio
import socket
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
import pytest

from api.edge import limits
from api.edge.asgi import Edge
from api.edge.limits import Limits, hang_up
from api.edge.tracing import RequestTraces
from api.http.answers import PRICE_PATH, PRICES_PATH
from shared.errors import SlowBody
from tests.unit.api.price_examples import BODY, Reader
from tests.unit.api.test_edge import App, Client, fast_path_of, http_scope, observed

TIMEOUT_S = 0.05


@dataclass
class Slow:
    """An edge, and a caller that sends some parts of a body and then waits until it has an answer."""

    reader: Reader
    parts: list[bytes] = field(default_factory=list)
    sent: list[Any] = field(default_factory=list)
    limits: Limits = field(default_factory=lambda: Limits(TIMEOUT_S, 8000))
    answered: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask(self, path: str) -> None:
        edge = Edge(cast(Any, App()), fast_path_of(self.reader), RequestTraces(0, 0, 0, lambda _: None), self.limits)
        async with self.limits.in_force():
            await edge(cast(Any, http_scope(path, {})), self.receive, self.send)

    def receive(self) -> Any:
        # The server's own is no coroutine, either.
        return asyncio.ensure_future(self.message())

    async def message(self) -> Any:
        if self.parts:
            return {"type": "http.request", "body": self.parts.pop(0), "more_body": True}
        await self.answered.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)
        if not message.get("more_body", True):
            self.answered.set()


@pytest.fixture
def slow(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> Slow:
    monkeypatch.setattr(limits, "SWEEP_S", TIMEOUT_S / 5)
    return Slow(reader)


def test_a_price_query_whose_body_does_not_come_is_answered_408_and_observed_once(slow: Slow) -> None:
    before = observed(PRICE_PATH, 408)
    asyncio.run(slow.ask(PRICE_PATH))
    start, body = slow.sent
    headers = dict(start["headers"])
    assert (start["status"], headers[b"connection"]) == (408, b"close")
    problem = msgspec.json.decode(body["body"])
    assert problem["type"] == "urn:pricing:slow-body"
    assert problem["trace_id"] == headers[b"traceresponse"].split(b"-")[1].decode() != "0" * 32
    assert observed(PRICE_PATH, 408) == before + 1
    assert slow.limits.waiting == set()


@pytest.mark.parametrize("parts", [[], [b"{"], [b"{", b'"items"']])
def test_the_framework_is_told_that_a_body_does_not_come(slow: Slow, parts: list[bytes]) -> None:
    slow.parts = parts
    with pytest.raises(SlowBody, match=r"within 0\.05 s"):
        asyncio.run(slow.ask(PRICES_PATH))


def test_the_rest_of_a_price_query_has_the_same_time(slow: Slow) -> None:
    slow.parts = [BODY[:5]]
    with pytest.raises(SlowBody):
        asyncio.run(slow.ask(PRICE_PATH))


def test_a_large_body_has_more_time(slow: Slow) -> None:
    async def go() -> None:
        loop = asyncio.get_running_loop()
        parts = [b"x" * limits.BYTES_PER_S, b""]

        async def receive() -> Any:
            part = parts.pop(0)
            await asyncio.sleep(0 if part else 2 * TIMEOUT_S)
            return {"type": "http.request", "body": part, "more_body": bool(part)}

        in_time, began = slow.limits.in_time(receive), loop.time()
        assert len((await in_time())["body"]) == limits.BYTES_PER_S  # type: ignore[typeddict-item] # http.request
        assert (await in_time())["more_body"] is False  # type: ignore[typeddict-item] # http.request
        assert loop.time() - began > TIMEOUT_S

    asyncio.run(go())


def test_a_whole_body_is_waited_for_no_longer(slow: Slow) -> None:
    """A stream of events waits for the end of its connection, however late."""

    async def go() -> None:
        messages: list[Any] = [{"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}]

        async def receive() -> Any:
            await asyncio.sleep(0 if len(messages) == 2 else 2 * TIMEOUT_S)
            return messages.pop(0)

        in_time = slow.limits.in_time(receive)
        assert [(await in_time())["type"] for _ in range(2)] == ["http.request", "http.disconnect"]

    asyncio.run(go())


@pytest.mark.parametrize("path", [PRICE_PATH, PRICES_PATH])
def test_a_drain_ends_bodies_that_are_not_on_their_way(slow: Slow, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr(limits, "DRAIN_S", TIMEOUT_S)
    slow.limits = Limits(600, 0)

    async def go() -> None:
        asyncio.get_running_loop().call_later(TIMEOUT_S, slow.limits.drain)
        await slow.ask(path)
        assert [message["type"] for message in slow.sent] == ["http.response.start", "http.response.body"]

    if path == PRICE_PATH:
        asyncio.run(go())
    else:
        with pytest.raises(SlowBody):
            asyncio.run(go())


def test_a_url_beyond_the_limit_is_refused_unread(reader: Reader) -> None:
    client = Client(reader)
    longest = "/" + "x" * (limits.MAX_URL_BYTES - 1)
    assert [client.answer(path)[0] for path in (longest, longest + "x")] == [202, 414]
    assert [scope["path"] for scope in client.app.seen] == [longest]


def test_hanging_up_closes_the_connections_to_the_port_and_no_others() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_server(("127.0.0.1", 0)) as other:
        clients = [socket.create_connection(each.getsockname()) for each in (server, other)]
        accepted = [each.accept()[0] for each in (server, other)]
        hang_up(server.getsockname()[1])
        clients[1].setblocking(False)
        assert clients[0].recv(1) == b""
        with pytest.raises(BlockingIOError):
            clients[1].recv(1)
        for each in (*clients, *accepted):
            each.close()
