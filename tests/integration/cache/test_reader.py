"""The read path: Redis first, PostgreSQL for the rest, and an answer whatever is away."""

import asyncio
import itertools
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from decimal import Decimal
from typing import NamedTuple

import msgspec
import psycopg
import pytest
import redis
from prometheus_client import REGISTRY

from shared.cache import changes, reader, sheets
from shared.cache.markets import market_of
from shared.cache.near import NearCache
from shared.cache.reader import PriceReader
from shared.cache.writer import SheetWriter
from shared.catalogue import markets
from shared.errors import DatabaseUnavailable
from shared.messaging import channel
from shared.postgres import migrations, pools
from shared.postgres.pools import AsyncPool, Pool
from shared.prices import published
from shared.prices.published import StoredSheet
from shared.pricing.market import DEFAULT_MARKET_CODE
from shared.rulebook import store as rulebook
from shared.rulebook.store import ActivePolicy
from shared.settings import Settings
from tests.integration.catalogue_examples import new_id, product, stored, write
from tests.support.proxy import Proxy, proxy_to

TTL_S = 1000.0
DEADLINE_S = 20.0


class Stand(NamedTuple):
    """A reader, and the proxies to what it reads."""

    reader: PriceReader
    near: NearCache
    redis: Proxy
    postgres: Proxy

    async def sources(self, *product_ids: str) -> dict[str, str]:
        found, _ = await self.reader.find(product_ids)
        return {product_id: hit.source for product_id, hit in found.items()}


@asynccontextmanager
async def stand(settings: Settings, near_entries: int) -> AsyncIterator[Stand]:
    async with AsyncExitStack() as stack:
        to_redis = stack.enter_context(proxy_to(settings.redis_for("cache")))
        to_postgres = stack.enter_context(proxy_to(settings.database_url))
        by_proxies = msgspec.structs.replace(settings, database_url=to_postgres.url())
        pool = pools.read_pool(by_proxies, "tests", size=4)
        await pool.open()
        stack.push_async_callback(pool.close)
        cache = channel.cache_client(to_redis.url(), "tests")
        stack.push_async_callback(cache.aclose, close_connection_pool=True)
        near = NearCache(near_entries, max_bytes=1_000_000)
        yield Stand(PriceReader(cache, pool, TTL_S, near), near, to_redis, to_postgres)


def run(settings: Settings, test: Callable[[Stand], Coroutine[None, None, None]], near_entries: int = 0) -> None:
    """Run a test's coroutine with a stand of its own; without a near cache unless it is about that."""

    async def on_a_stand() -> None:
        async with stand(settings, near_entries) as own:
            await test(own)

    asyncio.run(on_a_stand())


async def eventually(look: Callable[[], Awaitable[bool]], what: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while not await look():
        assert time.monotonic() < end, what
        await asyncio.sleep(0.05)


def corrupt_reads() -> float:
    return REGISTRY.get_sample_value("pricing_cache_reads_total", {"result": "corrupt"}) or 0.0


@pytest.fixture
def held_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process holds it holds for longer than a test takes."""
    for name in ("near.MAX_AGE_S", "near.KEEP_S", "markets.MAX_AGE_S"):
        monkeypatch.setattr(f"shared.cache.{name}", 600.0)


@pytest.fixture
def product_id(pool: Pool, policy: ActivePolicy) -> str:
    product_id = new_id()
    write(pool, policy, product(product_id))
    return product_id


def test_a_sheet_comes_from_the_database_and_then_from_the_cache(settings: Settings, product_id: str) -> None:
    async def test(own: Stand) -> None:
        first, all_markets = await own.reader.find([product_id])
        second, _ = await own.reader.find([product_id])
        assert (first[product_id].source, second[product_id].source) == ("database", "cache")
        assert first[product_id].sheet == second[product_id].sheet
        assert set(all_markets) >= set(markets.SHIPPED)

    run(settings, test)


def test_cached_and_uncached_products_are_found_together_and_unknown_ones_left_out(
    settings: Settings, pool: Pool, policy: ActivePolicy, product_id: str
) -> None:
    other = new_id()
    write(pool, policy, product(other))

    async def test(own: Stand) -> None:
        await own.reader.find([product_id])
        assert await own.sources(product_id, new_id(), other) == {product_id: "cache", other: "database"}
        assert await own.sources() == {}

    run(settings, test)


def test_a_product_that_is_asked_for_twice_at_once_is_found_once(settings: Settings, product_id: str) -> None:
    async def test(own: Stand) -> None:
        assert await own.sources(product_id, product_id) == {product_id: "database"}
        answers = await asyncio.gather(*(own.reader.find([product_id, product_id]) for _ in range(50)))
        sheets_found = [found[product_id].sheet for found, _ in answers]
        assert sheets_found == [sheets_found[0]] * 50

    run(settings, test)


def test_everybody_gets_the_sheet_when_all_ask_a_cold_cache_at_once(settings: Settings, product_id: str) -> None:
    async def test(own: Stand) -> None:
        answers = await asyncio.gather(*(own.sources(product_id) for _ in range(30)))
        assert all(set(answer) == {product_id} for answer in answers)
        assert await own.sources(product_id) == {product_id: "cache"}

    run(settings, test)


@pytest.mark.parametrize(
    "entry",
    [
        b"",
        b"garbage",
        b"7|{}",
        b'1|{"product_id":',
        b"\xff\xfe",
        b"99999|" + stored("P-1", 1).json.encode(),
    ],
)
def test_an_entry_that_does_not_decode_is_read_again_and_healed(
    settings: Settings, cache: redis.Redis, product_id: str, entry: bytes
) -> None:
    cache.set(sheets.key(product_id), entry, ex=1000)

    async def test(own: Stand) -> None:
        assert await own.reader.cached_version(product_id) is None
        assert await own.sources(product_id) == {product_id: "database"}
        assert await own.sources(product_id) == {product_id: "cache"}
        assert await own.reader.cached_version(product_id) == 1

    run(settings, test)


@pytest.mark.usefixtures("held_for_long")
def test_an_entry_that_does_not_decode_when_it_is_read_ahead_is_healed_without_a_query(
    settings: Settings, cache: redis.Redis, product_id: str
) -> None:
    async def test(own: Stand) -> None:
        await own.sources(product_id)
        good = cache.get(sheets.key(product_id))
        assert await own.sources(product_id) == {product_id: "cache"}
        cache.set(sheets.key(product_id), b"garbage", ex=1000)
        own.postgres.shut()
        reading_ahead = asyncio.create_task(own.reader.read_ahead())
        before = corrupt_reads()

        async def is_found() -> bool:
            return corrupt_reads() > before + 1

        async def is_healed() -> bool:
            return cache.get(sheets.key(product_id)) == good

        await eventually(is_found, "it is found, and again while PostgreSQL is away")
        own.postgres.open()
        await eventually(is_healed, "it is healed")
        assert not reading_ahead.done()
        reading_ahead.cancel()

    run(settings, test, near_entries=10)


def test_a_key_of_another_type_is_read_again_and_healed(
    settings: Settings, cache: redis.Redis, product_id: str
) -> None:
    cache.delete(sheets.key(product_id))
    cache.hset(sheets.key(product_id), "a", "b")

    async def test(own: Stand) -> None:
        assert await own.sources(product_id) == {product_id: "database"}
        assert await own.sources(product_id) == {product_id: "cache"}

    run(settings, test)


def test_a_version_that_was_put_is_what_is_read(settings: Settings, cache: redis.Redis, product_id: str) -> None:
    SheetWriter(cache, cache, TTL_S).put([stored(product_id, 7)])

    async def test(own: Stand) -> None:
        found, _ = await own.reader.find([product_id])
        assert (found[product_id].source, found[product_id].sheet.version) == ("cache", 7)

    run(settings, test)


def test_a_slow_read_does_not_replace_what_was_put_meanwhile(
    settings: Settings, cache: redis.Redis, product_id: str
) -> None:
    writer = SheetWriter(cache, cache, TTL_S)

    async def test(own: Stand) -> None:
        reading = asyncio.create_task(own.reader.find([product_id]))
        await asyncio.to_thread(writer.put, [stored(product_id, 9)])
        await reading
        assert await own.reader.cached_version(product_id) == 9

    run(settings, test)


def test_without_redis_the_database_answers(settings: Settings, product_id: str) -> None:
    async def test(own: Stand) -> None:
        await own.reader.find([product_id])
        own.redis.shut()
        assert await own.sources(product_id) == {product_id: "database"}
        assert await own.reader.cached_version(product_id) is None

    run(settings, test)


def test_where_nothing_listens_in_place_of_redis_the_database_answers(settings: Settings, product_id: str) -> None:
    async def test(own: Stand) -> None:
        own.redis.close()
        for _ in range(reader.BREAKER_FAILURES + 3):
            assert await own.sources(product_id) == {product_id: "database"}

    run(settings, test)


def test_a_redis_that_is_away_is_asked_once_a_second_at_most(settings: Settings, product_id: str) -> None:
    async def test(own: Stand) -> None:
        await own.reader.find([product_id])
        own.redis.shut()
        started, before = time.monotonic(), own.redis.visits
        for _ in range(200):
            assert await own.sources(product_id) == {product_id: "database"}
        periods = int((time.monotonic() - started) / reader.BREAKER_OPEN_S) + 1
        # What a query asks: a look-up; where that one is the last to fail, nothing more.
        assert own.redis.visits - before <= reader.BREAKER_FAILURES + periods

    run(settings, test)


def test_when_redis_is_back_the_cache_is_used_again(settings: Settings, product_id: str) -> None:
    async def test(own: Stand) -> None:
        own.redis.shut()
        for _ in range(reader.BREAKER_FAILURES + 3):
            await own.reader.find([product_id])
        own.redis.open()

        async def is_cached() -> bool:
            return await own.sources(product_id) == {product_id: "cache"}

        await eventually(is_cached, "the cache is used again")

    run(settings, test)


def test_without_the_database_what_is_cached_is_answered_and_what_is_not_is_unavailable(
    settings: Settings, product_id: str
) -> None:
    async def test(own: Stand) -> None:
        await own.reader.find([product_id])
        own.postgres.shut()
        for _ in range(2):
            with pytest.raises(DatabaseUnavailable):
                await own.reader.find([product_id, new_id()])
        found, all_markets = await own.reader.find([product_id])
        assert found[product_id].source == "cache"
        assert market_of(all_markets, "NY").code == "NY"

    run(settings, test)


def test_when_the_database_is_back_it_is_asked_again(settings: Settings, product_id: str) -> None:
    async def test(own: Stand) -> None:
        await own.reader.find([])
        own.postgres.shut()
        for _ in range(reader.BREAKER_FAILURES + 1):
            with pytest.raises(DatabaseUnavailable):
                await own.reader.find([product_id])
        own.postgres.open()

        async def answers() -> bool:
            try:
                return bool(await own.sources(product_id))
            except DatabaseUnavailable:
                return False

        await eventually(answers, "the database answers again")

    run(settings, test)


def test_with_both_away_it_is_one_error(settings: Settings, product_id: str) -> None:
    async def test(own: Stand) -> None:
        await own.reader.find([product_id])
        own.redis.shut()
        own.postgres.shut()
        with pytest.raises(DatabaseUnavailable):
            await own.reader.find([product_id])

    run(settings, test)


def test_a_market_that_changes_is_seen_within_a_moment(settings: Settings, pool: Pool) -> None:
    code = new_id()

    async def test(own: Stand) -> None:
        _, before = await own.reader.find([])
        assert market_of(before, code).code == DEFAULT_MARKET_CODE
        with pool.connection() as conn:
            conn.execute("INSERT INTO markets (code, multiplier) VALUES (%s, 2)", [code])

        async def is_seen() -> bool:
            _, now = await own.reader.find([])
            return market_of(now, code).multiplier == Decimal(2)

        await eventually(is_seen, "the market is seen")

    run(settings, test)


def test_a_thousand_who_ask_for_one_cold_product_cause_one_read_of_the_database(
    settings: Settings, product_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[list[str]] = []
    read_sheets = published.read_sheets

    async def counted(pool: AsyncPool, product_ids: Sequence[str]) -> list[StoredSheet]:
        reads.append(list(product_ids))
        return await read_sheets(pool, product_ids)

    monkeypatch.setattr(published, "read_sheets", counted)

    async def test(own: Stand) -> None:
        answers = await asyncio.gather(*(own.sources(product_id) for _ in range(1_000)))
        assert {answer[product_id] for answer in answers} == {"database"}
        assert reads == [[product_id]]

    run(settings, test)


@pytest.mark.usefixtures("held_for_long")
def test_what_is_held_needs_neither_redis_nor_the_database(settings: Settings, product_id: str) -> None:
    async def test(own: Stand) -> None:
        await own.reader.find([product_id])
        own.redis.shut()
        own.postgres.shut()
        assert await own.sources(product_id) == {product_id: "cache"}
        held = own.reader.held(product_id)
        assert held is not None
        assert held[0].product_id == product_id

    run(settings, test, near_entries=10)


def test_what_was_put_is_read_in_the_end_without_any_announcement(
    settings: Settings, cache: redis.Redis, product_id: str
) -> None:
    async def test(own: Stand) -> None:
        await own.reader.find([product_id])
        keys, arguments = sheets.put_arguments([stored(product_id, 7)], TTL_S)
        cache.register_script(sheets.PUT)(keys=keys, args=arguments)

        async def is_read() -> bool:
            found, _ = await own.reader.find([product_id])
            return found[product_id].sheet.version == 7

        await eventually(is_read, "version 7 is read")

    run(settings, test, near_entries=10)


def test_what_is_announced_is_read_at_once(settings: Settings, cache: redis.Redis, product_id: str) -> None:
    async def test(own: Stand) -> None:
        await own.reader.find([product_id])
        SheetWriter(cache, cache, TTL_S).put([stored(product_id, 7)])
        own.near.changed([(product_id, 7)])
        found, _ = await own.reader.find([product_id])
        assert found[product_id].sheet.version == 7

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
    monkeypatch.setattr(channel, "CACHE_TIMEOUT_S", DEADLINE_S)
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
            seen.update(hit.sheet.version for hit in found.values())
        await deciding
        assert len(seen) > 5, "it was asked while they changed"

    run(settings, test, near_entries)


def test_the_near_cache_follows_what_is_announced(settings: Settings, cache: redis.Redis, product_id: str) -> None:
    async def test(own: Stand) -> None:
        events = channel.client(settings.redis_for("events"), "tests")
        async with changes.followed_by(own.near, events):

            async def is_heard() -> bool:
                return bool(cache.pubsub_numsub(channel.PRICE_CHANGES)[0][1])

            await eventually(is_heard, "somebody listens")
            for garbage in (b"", b"{", b'{"changes": 7}', b"\xff"):
                cache.publish(channel.PRICE_CHANGES, garbage)
            await own.reader.find([product_id])
            await asyncio.to_thread(SheetWriter(cache, cache, TTL_S).put, [stored(product_id, 7)])

            async def is_read() -> bool:
                found, _ = await own.reader.find([product_id])
                return found[product_id].sheet.version == 7

            await eventually(is_read, "the new version is read")
        events.close()

    run(settings, test, near_entries=10)


def test_an_unknown_product_is_remembered_and_appears_at_once_when_it_is_created(
    settings: Settings, pool: Pool, policy: ActivePolicy, cache: redis.Redis
) -> None:
    product_id = new_id()

    async def test(own: Stand) -> None:
        assert await own.sources(product_id) == {}
        assert cache.mget(sheets.key(product_id), sheets.CREATIONS)[0] is not None
        assert 0 < cache.pttl(sheets.key(product_id)) <= sheets.ABSENCE_TTL_S * 1_100
        # Redis answers for the database.
        own.postgres.shut()
        assert await own.sources(product_id) == {}
        own.postgres.open()
        write(pool, policy, product(product_id))
        SheetWriter(cache, cache, TTL_S).created()

        async def is_found() -> bool:
            with suppress(DatabaseUnavailable):
                return await own.sources(product_id) == {product_id: "database"}
            return False

        await eventually(is_found, "it is found")
        assert await own.sources(product_id) == {product_id: "cache"}

    run(settings, test)


def test_a_creation_in_the_middle_of_a_look_up_is_not_forgotten(
    settings: Settings, pool: Pool, policy: ActivePolicy, cache: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow reader that found nothing says so after the product is there; nobody believes it."""
    product_id = new_id()
    read_sheets = published.read_sheets

    async def slow(from_pool: AsyncPool, product_ids: Sequence[str]) -> list[StoredSheet]:
        found = await read_sheets(from_pool, product_ids)
        if not found:
            await asyncio.to_thread(write, pool, policy, product(product_id))
            await asyncio.to_thread(SheetWriter(cache, cache, TTL_S).created)
        return found

    monkeypatch.setattr(published, "read_sheets", slow)

    async def test(own: Stand) -> None:
        assert await own.sources(product_id) == {}
        assert await own.sources(product_id) == {product_id: "database"}

    run(settings, test)


def test_an_unknown_or_missing_location_has_the_default_market(settings: Settings) -> None:
    async def test(own: Stand) -> None:
        _, found = await own.reader.find([])
        assert {market_of(found, location).code for location in (None, "", "nowhere", DEFAULT_MARKET_CODE)} == {
            DEFAULT_MARKET_CODE
        }

    run(settings, test)


def test_a_process_that_was_there_before_the_schema_reads_when_it_has_come(
    new_database: Callable[[], Settings],
) -> None:
    settings = new_database()

    def migrate() -> None:
        migrations.migrate(settings)
        with pools.connect(settings, "tests") as conn:
            rulebook.ensure_default(conn)
            markets.ensure_shipped(conn)

    async def test(own: Stand) -> None:
        with pytest.raises((DatabaseUnavailable, psycopg.errors.UndefinedTable)):
            await own.reader.find([new_id()])
        await asyncio.to_thread(migrate)

        async def answers() -> bool:
            try:
                _, found = await own.reader.find([])
            except (DatabaseUnavailable, psycopg.errors.UndefinedTable):
                return False
            return DEFAULT_MARKET_CODE in found

        await eventually(answers, "the markets are read")

    run(settings, test)
