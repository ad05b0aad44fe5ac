"""A stream that begins where the process holds the log needs no query."""

import asyncio
from datetime import UTC, datetime
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from api.changes.ring import Ring
from api.changes.streams import HEARTBEAT_S, NOT_FOUND, ChangeStreams, Client
from shared.changes.entries import Entry, Wanted

AT = datetime(2026, 11, 27, tzinfo=UTC)
PEER = ("127.0.0.1", 50_000)


class NoDatabase:
    """Fails at each use."""

    def connection(self) -> Any:
        raise AssertionError("a query")


def entry(change_id: int) -> Entry:
    return Entry(change_id, "rules", '{"rulebook_version": 2, "values_version": null}', AT)


def ring(*ids: int, start: int = 0) -> Ring:
    made = Ring(start)
    made.add([entry(each) for each in ids])
    return made


@pytest.mark.parametrize(("change_id", "is_known"), [(9, False), (10, True), (11, False), (12, True), (13, False)])
def test_a_reader_goes_on_only_behind_an_entry_that_is_held(change_id: int, is_known: bool) -> None:
    assert ring(10, 12).knows(change_id) is is_known


def test_an_entry_that_made_room_is_known_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.changes.ring.MOST_ENTRIES", 2)
    made = ring(10, 11, 12)
    assert [made.knows(each) for each in (10, 11, 12)] == [False, True, True]


@pytest.mark.parametrize(("after", "position"), [(None, 12), (10, 10), (12, 12)])
def test_beside_another_stream_it_begins_without_a_query(after: int | None, position: int) -> None:
    streams = ChangeStreams(NoDatabase(), 8000, lambda _: True)  # type: ignore[arg-type] # no pool is used
    streams._ring = ring(10, 11, 12)
    streams._add(first := Client(None, Wanted(), 12, PEER))

    async def position_of_new() -> int:
        chunks = await streams.open(None, Wanted(), after, PEER)
        await anext(chunks)
        [new] = streams._clients - {first}
        await chunks.aclose()  # type: ignore[attr-defined] # a generator
        return new.position

    assert asyncio.run(position_of_new()) == position


def test_one_that_takes_nothing_is_asked_ever_more_rarely_and_is_given_more_within_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, unreceived, looks = 0.0, 1, list[float]()

    def look(fd: int) -> int:
        looks.append(now)
        return unreceived

    monkeypatch.setattr("api.changes.streams.time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr("api.changes.sockets.unreceived", look)
    streams = ChangeStreams(NoDatabase(), 8000, lambda _: True)  # type: ignore[arg-type] # no pool is used
    streams._ring = ring(10, 11, 12)
    streams._add(client := Client(None, Wanted(), 10, PEER))
    client.fd, client.unsent = 7, memoryview(b"")

    async def serve(turns: int) -> None:
        nonlocal now
        for _ in range(turns):
            now += 0.05
            await streams._serve()

    asyncio.run(serve(400))
    # 20 s: at the first turns each time, then after a quarter of what it has waited, at last each second.
    assert len(looks) < 60
    assert all(later - earlier <= max(0.1, 0.25 * earlier + 0.1) for earlier, later in pairwise(looks))
    assert max(later - earlier for earlier, later in pairwise(looks)) < 1.1
    unreceived = 0
    asyncio.run(serve(22))
    assert (client.position, client.ready.is_set()) == (12, True)


def served(streams: ChangeStreams, *clients: Client) -> list[bool]:
    """One turn; which of the clients, whose connections take everything, are given something."""
    for client in clients:
        client.fd, client.unsent = NOT_FOUND, memoryview(b"")
        client.ready.clear()
    asyncio.run(streams._serve())
    return [client.ready.is_set() for client in clients]


def test_those_that_have_everything_are_looked_at_for_a_new_entry_and_for_a_heartbeat(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, looks = 100.0, list[Client]()
    monkeypatch.setattr("api.changes.streams.time", SimpleNamespace(monotonic=lambda: now))
    streams = ChangeStreams(NoDatabase(), 8000, lambda _: True)  # type: ignore[arg-type] # no pool is used
    streams._ring = held = ring(10)
    clients = [Client(None, Wanted(), 10, (PEER[0], port)) for port in range(3)]
    for client in clients:
        streams._add(client)
    look = streams._look

    async def counted(client: Client, *more: Any) -> bool:
        looks.append(client)
        return await look(client, *more)

    monkeypatch.setattr(streams, "_look", counted)
    for _ in range(10):
        now += 0.05
        assert served(streams, *clients) == [False] * 3
    assert len(looks) == 3
    held.add([entry(11)])
    now += 0.05
    assert served(streams, *clients) == [True] * 3
    streams._drop(clients[2])
    now += HEARTBEAT_S + 1
    assert served(streams, *clients) == [True, True, False]


def test_a_client_whose_entries_could_not_be_read_is_served_in_a_later_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("api.changes.streams.time", SimpleNamespace(monotonic=lambda: now))
    streams = ChangeStreams(NoDatabase(), 8000, lambda _: True)  # type: ignore[arg-type] # no pool is used
    streams._ring = ring(10, 11, start=9)
    streams._add(client := Client(None, Wanted(), 5, PEER))
    now += 0.05
    with pytest.raises(AssertionError, match="a query"):
        served(streams, client)
    client.position = 9
    now += 0.05
    assert served(streams, client) == [True]
