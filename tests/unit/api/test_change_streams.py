"""A stream that begins where the process holds the log needs no query."""

import asyncio
from datetime import UTC, datetime
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from api.changes.ring import Ring
from api.changes.streams import ChangeStreams, Client
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
    streams._clients.add(first := Client(None, Wanted(), 12, PEER))

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
    streams._clients.add(client := Client(None, Wanted(), 10, PEER))
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
