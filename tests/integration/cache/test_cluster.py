"""A Redis Cluster as the cache: sheets by hash tags; slots that move, a demoted and a killed primary."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

import msgspec
import pytest
import redis

from listener.epoch_watch import KEY as BEAT
from listener.epoch_watch import EpochWatch
from shared.access.rate_limits import RateLimits
from shared.cache import commands, contracts, primaries, sheets, tags
from shared.cache.commands import SyncCache
from shared.cache.contracts import Contracts
from shared.cache.near import NearCache
from shared.cache.reader import PriceReader
from shared.cache.sheets import Fill
from shared.cache.writer import SheetWriter
from shared.errors import RedisUnavailable, translate
from shared.messaging import clients
from shared.messaging.cluster import AsyncCluster, Cluster, Command, mget
from shared.messaging.lock import RecalculationLock
from shared.postgres import pools
from shared.postgres.pools import Pool
from shared.prices import published
from shared.prices.new_versions import StoredSheet
from shared.rulebook.store import ActivePolicy
from shared.settings import Settings
from tests.integration.cache.reader_stand import TTL_S, are_served, eventually, versions
from tests.integration.catalogue_examples import new_id, product, stored, write
from tests.support import waiting
from tests.support.proxy import Proxy, proxy_to
from tests.support.redis_cluster import RedisCluster, redis_cluster

pytestmark = pytest.mark.long

PRODUCTS = 300


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    with redis_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture
def writing(cluster: RedisCluster) -> Iterator[Cluster]:
    waiting.eventually(cluster.is_whole, "the cluster is whole")
    client = clients.sheets_client(cluster.url, "tests")
    assert isinstance(client, Cluster)
    yield client
    client.close()


@pytest.fixture
def ids(pool: Pool, policy: ActivePolicy) -> list[str]:
    """Products of many tags, of which some have braces in their ids."""
    found = [f"{['{a}', '}{', '{}', '', ''][number % 5]}{new_id()}" for number in range(PRODUCTS)]
    write(pool, policy, *map(product, found))
    return found


@asynccontextmanager
async def reading(settings: Settings, cluster: RedisCluster) -> AsyncIterator[tuple[PriceReader, Contracts, Proxy]]:
    """A reader without a near cache, and its way to PostgreSQL."""
    with proxy_to(settings.database_url) as to_postgres:
        by_proxy = msgspec.structs.replace(settings, database_url=to_postgres.url())
        async with pools.read_pool(by_proxy, "tests", size=4) as pool:
            cache = clients.cache_client(cluster.url, "tests")
            reader = PriceReader(cache, pool, TTL_S, NearCache(0, max_bytes=1_000_000))
            await reader.prepare()
            keeping_fresh = asyncio.create_task(reader.rulebook.keep_fresh())
            yield reader, Contracts(cache, pool), to_postgres
            keeping_fresh.cancel()
            await cache.aclose()


async def during(reader: PriceReader, ids: list[str], change: Callable[[], None]) -> int:
    """Read alone and in bulk, by two readers, while something changes; each product is found. The number of reads."""
    changing = asyncio.create_task(asyncio.to_thread(change))
    reads = 0

    async def read() -> None:
        nonlocal reads
        while not changing.done():
            alone = ids[reads % len(ids)]
            for asked in ([alone], ids):
                found, _ = await reader.find(asked)
                assert found.keys() == set(asked)
                reads += 1

    await asyncio.gather(read(), read())
    await changing
    return reads


def later(stored_sheets: list[StoredSheet], more: int) -> list[StoredSheet]:
    return [stored(sheet.product_id, sheet.version + more, epoch=sheet.epoch) for sheet in stored_sheets]


def of_database(pool: Pool, ids: list[str]) -> list[StoredSheet]:
    with pool.connection() as conn:
        return published.stored_sheets(conn, ids)


def versions_in_redis(cache: SyncCache, ids: list[str]) -> dict[str, bytes]:
    groups = tags.grouped(ids, str, is_cluster=True)
    replies = commands.run(cache, [mget(tag, [sheets.key(id_, tag) for id_ in of]) for tag, of in groups.items()])
    return {id_: sheets.parts(entry).version for id_, entry in tags.each(groups, replies)}


def test_sheets_are_filled_put_read_and_versions_and_epochs_kept(
    settings: Settings, cluster: RedisCluster, writing: Cluster, pool: Pool, ids: list[str]
) -> None:
    async def test() -> None:
        async with reading(settings, cluster) as (reader, _, to_postgres):
            assert await versions(reader, ids, "database") == {1}
            to_postgres.shut()
            assert await versions(reader, ids, "cache") == {1}
            known = of_database(pool, ids)
            SheetWriter(writing, events, TTL_S).put(later(known, 6))
            assert await versions(reader, ids, "cache") == {7}
            SheetWriter(writing, events, TTL_S).put(later(known, 2))
            assert await versions(reader, ids, "cache") == {7}
            # PostgreSQL has none of these versions.
            SheetWriter(writing, events, TTL_S, pool).put(known)
            assert await versions(reader, ids, "cache") == {1}
            foreign = [msgspec.structs.replace(sheet, epoch=77) for sheet in later(known, 1)]
            commands.run(
                writing,
                [
                    sheets.fill([Fill(sheet) for sheet in of_tag], TTL_S, 2**52, tag)
                    for tag, of_tag in tags.grouped(foreign, lambda sheet: sheet.product_id, is_cluster=True).items()
                ],
            )
            to_postgres.open()
            await eventually(lambda: are_served(reader, ids, "database", 1), "PostgreSQL is read again")

    with clients.client(settings.redis_for("events"), "tests") as events:
        asyncio.run(test())
    # Many at once are marked where Redis has none.
    new = [stored(new_id(), 3) for _ in range(2 * sheets.BATCH)]
    with clients.client(settings.redis_for("events"), "tests") as events:
        SheetWriter(writing, events, TTL_S).put(new)
    assert set(versions_in_redis(writing, [sheet.product_id for sheet in new]).values()) == {b"3"}


def test_missing_products_contracts_limits_lock_and_beat_are_kept(
    settings: Settings, cluster: RedisCluster, writing: Cluster, pool: Pool, policy: ActivePolicy
) -> None:
    id_, task = f"{{x}}{new_id()}", uuid4()

    async def test() -> None:
        async with reading(settings, cluster) as (reader, contracts_of, to_postgres):
            assert (await reader.find([id_]))[0] == {}
            assert await contracts_of.find([(id_, "c-1")]) == {(id_, "c-1"): ()}
            to_postgres.shut()
            assert (await reader.find([id_]))[0] == {}
            assert await contracts_of.find([(id_, "c-1")]) == {(id_, "c-1"): ()}
            contracts.forget(writing, [(id_, "c-1")])
            key = contracts.key(id_, "c-1", tags.of(id_))
            assert commands.run(writing, [Command(tags.of(id_), ("GET", key))]) == [None]
            to_postgres.open()
            write(pool, policy, product(id_))
            SheetWriter(writing, events, TTL_S).created()
            await eventually(lambda: are_served(reader, [id_], "database", 1), "the new product is found")
        limited = clients.cache_client(cluster.url, "tests")
        limits = RateLimits(limited, {"writes": 1})
        taken = [await limits.take("writes", new_id()) for _ in range(2)]
        assert [each and each.is_exceeded for each in taken] == [False, False]
        await limited.aclose()

    with clients.client(settings.redis_for("events"), "tests") as events:
        asyncio.run(test())
    lock = RecalculationLock(writing)
    assert lock.acquire(task, 1)
    assert not lock.acquire(uuid4(), 1)
    lock.release(task, 1)
    EpochWatch(pool, writing).beat()
    assert int(writing.get(BEAT)) > 0


def test_a_slot_that_moves_fails_no_read_of_a_cached_price_and_no_write(
    settings: Settings, cluster: RedisCluster, writing: Cluster, pool: Pool, ids: list[str]
) -> None:
    tag = tags.of(ids[0])
    same = [id_ for id_ in ids if tags.of(id_) == tag]
    assert len(same) > 1

    async def test() -> None:
        async with reading(settings, cluster) as (reader, _, to_postgres):
            assert await versions(reader, ids, "database") == {1}
            known = of_database(pool, ids)
            # From here on a miss is an error.
            to_postgres.shut()
            primaries.note(writing, primaries.read(writing))
            source = target = 0

            def begin() -> None:
                nonlocal source, target
                source, target = cluster.begin_move(tag)
                cluster.move_keys(tag, source, target, at_most=1)
                writer.put(later(known, 1))

            def go_on() -> None:
                cluster.move_keys(tag, source, target)
                writer.put(later(known, 2))
                cluster.end_move(tag, source, target)
                writer.put(later(known, 3))

            assert await during(reader, ids, begin)
            assert await versions(reader, ids, "cache") == {2}
            assert await during(reader, ids, go_on)
            assert await versions(reader, ids, "cache") == {4}
            assert cluster.owner(tag) == target
            # Nothing was lost: no new epoch begins.
            assert not primaries.read(writing).are_promoted

    with clients.client(settings.redis_for("events"), "tests") as events:
        writer = SheetWriter(writing, events, TTL_S)
        asyncio.run(test())


def test_a_demoted_primary_fails_no_read_of_a_cached_price(
    settings: Settings, cluster: RedisCluster, writing: Cluster, pool: Pool, ids: list[str]
) -> None:
    tag = tags.of(ids[0])

    async def test() -> None:
        async with reading(settings, cluster) as (reader, _, to_postgres):
            assert await versions(reader, ids, "database") == {1}
            to_postgres.shut()

            def demote() -> None:
                former = cluster.fail_over(tag)
                waiting.eventually(lambda: cluster.owner(tag) != former, "the replica has taken over")

            assert await during(reader, ids, demote)
            assert await versions(reader, ids, "cache") == {1}
            writer.put(later(of_database(pool, ids), 1))
            assert await versions(reader, ids, "cache") == {2}

    with clients.client(settings.redis_for("events"), "tests") as events:
        writer = SheetWriter(writing, events, TTL_S)
        asyncio.run(test())


def test_a_killed_primary_fails_no_read_and_its_replica_serves_its_prices(
    settings: Settings, cluster: RedisCluster, writing: Cluster, pool: Pool, ids: list[str]
) -> None:
    tag = tags.of(ids[0])

    def puts(wanted: list[StoredSheet]) -> bool:
        with suppress(redis.RedisError):
            writer.put(wanted)
            return True
        return False

    async def test() -> None:
        async with reading(settings, cluster) as (reader, _, to_postgres):
            assert await versions(reader, ids, "database") == {1}
            known = of_database(pool, ids)
            primaries.note(writing, primaries.read(writing))

            def kill() -> None:
                cluster.kill_owner(tag)
                with pytest.raises(redis.RedisError) as failed:
                    writer.put(later(known, 1))
                assert isinstance(translate(failed.value), RedisUnavailable)
                waiting.eventually(lambda: puts(later(known, 1)), "writes go on", 30)

            assert await during(reader, ids, kill)
            await eventually(lambda: are_served(reader, ids, "cache", 2), "the cache serves all")
            to_postgres.shut()
            assert await versions(reader, ids, "cache") == {2}
            promoted = primaries.read(writing)
            assert promoted.are_promoted
            primaries.note(writing, promoted)
            assert primaries.read(writing) == primaries.Primaries({}, are_promoted=False)
            # Readiness passes the dead node over.
            probe = clients.cache_client(cluster.url, "tests")
            assert isinstance(probe, AsyncCluster)
            assert all([(await probe.state())["redis_version"] for _ in range(10)])
            await probe.aclose()

    with clients.client(settings.redis_for("events"), "tests") as events:
        writer = SheetWriter(writing, events, TTL_S)
        asyncio.run(test())
