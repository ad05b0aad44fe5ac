"""A newer version is read in the end, announced or not, and no read misses in between."""

import asyncio
import itertools
import sys
import time

import pytest
import redis

from shared.cache import changes, commands, rulebook, sheets
from shared.cache.writer import SheetWriter
from shared.messaging import channel, clients
from shared.postgres.pools import Pool
from shared.rulebook.store import ActivePolicy
from shared.settings import Settings
from tests.integration.cache.reader_stand import DEADLINE_S, TTL_S, Stand, eventually, run, version_of
from tests.integration.catalogue_examples import new_id, product, stored, write
from tests.support.metrics import counted


def test_a_version_that_was_put_is_what_is_read(settings: Settings, cache: redis.Redis, product_id: str) -> None:
    async def test(own: Stand) -> None:
        await own.reader.find([product_id])
        SheetWriter(cache, cache, TTL_S).put([stored(product_id, 7)])
        found, _ = await own.reader.find([product_id])
        assert (found[product_id].source, version_of(found[product_id])) == ("cache", 7)

    run(settings, test)


def test_a_slow_read_does_not_replace_what_was_put_meanwhile(
    settings: Settings, cache: redis.Redis, product_id: str
) -> None:
    writer = SheetWriter(cache, cache, TTL_S)

    async def test(own: Stand) -> None:
        reading = asyncio.create_task(own.reader.find([product_id]))
        await asyncio.to_thread(writer.put, [stored(product_id, 9)])
        await reading
        entry = cache.get(sheets.key(product_id))
        assert isinstance(entry, bytes)
        assert sheets.parts(entry).version == b"9"

    run(settings, test)


def test_what_was_put_is_read_in_the_end_without_any_announcement(
    settings: Settings, cache: redis.Redis, product_id: str
) -> None:
    async def test(own: Stand) -> None:
        await own.reader.find([product_id])
        commands.run(cache, [sheets.put([stored(product_id, 7)], TTL_S)])

        async def is_read() -> bool:
            found, _ = await own.reader.find([product_id])
            return version_of(found[product_id]) == 7

        await eventually(is_read, "version 7 is read")

    run(settings, test, near_entries=10)


def test_what_is_announced_is_read_at_once(settings: Settings, cache: redis.Redis, product_id: str) -> None:
    async def test(own: Stand) -> None:
        await own.reader.find([product_id])
        SheetWriter(cache, cache, TTL_S).put([stored(product_id, 7)])
        own.near.changed([(product_id, 7)])
        found, _ = await own.reader.find([product_id])
        assert version_of(found[product_id]) == 7

    run(settings, test, near_entries=10)


@pytest.mark.parametrize("near_entries", [0, 1000])
def test_while_every_price_is_decided_anew_none_is_missed_in_the_cache(
    settings: Settings,
    pool: Pool,
    policy: ActivePolicy,
    cache: redis.Redis,
    near_entries: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A Redis that a busy machine delays is none that lost something.
    monkeypatch.setattr(clients, "CACHE_TIMEOUT_S", DEADLINE_S)
    ids = [new_id() for _ in range(300)]
    for product_id in ids:
        write(pool, policy, product(product_id))
    writer, seen = SheetWriter(cache, cache, TTL_S), set[int]()

    def decide_anew() -> None:
        end = time.monotonic() + DEADLINE_S
        for version in itertools.count(2):
            writer.put([stored(product_id, version) for product_id in ids])
            if len(seen) > 5 or time.monotonic() > end:
                return

    async def test(own: Stand) -> None:
        await own.reader.find(ids)
        deciding = asyncio.create_task(asyncio.to_thread(decide_anew))
        while not deciding.done():
            found, _ = await own.reader.find(ids)
            assert {hit.source for hit in found.values()} == {"cache"}
            assert len(found) == len(ids)
            own.near.changed((product_id, sys.maxsize) for product_id in ids)
            seen.update(version_of(hit) for hit in found.values())
        await deciding
        assert len(seen) > 5, "it was asked while they changed"

    run(settings, test, near_entries)


def test_the_near_cache_follows_what_is_announced(settings: Settings, cache: redis.Redis, product_id: str) -> None:
    async def test(own: Stand) -> None:
        events = clients.client(settings.redis_for("events"), "tests")
        async with changes.followed_by(own.near, own.reader.rulebook, events):

            async def is_heard() -> bool:
                return bool(cache.pubsub_numsub(channel.PRICE_CHANGES)[0][1])

            await eventually(is_heard, "a subscriber is there")
            before = counted("pricing_price_changes_refused_total")
            garbage = (b"", b"{", b'{"changes": 7}', b"\xff", b"[" * 100_000, b'{"changes": [["P-1", 1e999]]}')
            for message in garbage:
                cache.publish(channel.PRICE_CHANGES, message)
            # A valid one whose time cannot be measured.
            cache.publish(channel.PRICE_CHANGES, b'{"changes": [], "at": -1e308}')
            await own.reader.find([product_id])
            await asyncio.to_thread(SheetWriter(cache, cache, TTL_S).put, [stored(product_id, 7)])

            async def is_read() -> bool:
                found, _ = await own.reader.find([product_id])
                return version_of(found[product_id]) == 7

            await eventually(is_read, "the new version is read")
            assert counted("pricing_price_changes_refused_total") - before == len(garbage)
            assert counted("pricing_near_cache_staleness_seconds_sum") < 1e300
        events.close()

    run(settings, test, near_entries=10)


def test_an_announced_rulebook_is_read_at_once(
    settings: Settings, cache: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rulebook, "READ_EVERY_S", 3_600)

    async def test(own: Stand) -> None:
        events, copy = clients.client(settings.redis_for("events"), "tests"), own.reader.rulebook
        before, copy._loaded = copy.terms, None
        async with changes.followed_by(own.near, copy, events):

            async def is_read() -> bool:
                channel.announce_rulebook(cache, version=1)
                return copy.terms is not before

            await eventually(is_read, "the rulebook is read")
        events.close()

    run(settings, test)
