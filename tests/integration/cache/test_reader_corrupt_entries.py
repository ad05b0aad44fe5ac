"""An entry that does not decode is read from PostgreSQL, counted and healed."""

import asyncio

import pytest
import redis
from prometheus_client import REGISTRY

from shared.cache import sheets
from shared.postgres.pools import Pool
from shared.rulebook.store import ActivePolicy
from shared.settings import Settings
from tests.integration.cache.reader_stand import Stand, eventually, run
from tests.integration.catalogue_examples import new_id, product, stored, write


def corrupt_reads() -> float:
    return REGISTRY.get_sample_value("pricing_cache_reads_total", {"result": "corrupt"}) or 0.0


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


@pytest.mark.parametrize(
    "change",
    [
        "sheet = 'garbage'",
        "sheet = (sheet::jsonb - 'currency')::text",
        "sheet = jsonb_set(sheet::jsonb, '{published_price}', '\"NaN\"')::text",
        "sheet = jsonb_set(sheet::jsonb, '{product_id}', '\"P-1\"')::text",
    ],
)
def test_a_row_of_postgresql_that_cannot_be_read_fails_its_product_alone(
    settings: Settings, cache: redis.Redis, pool: Pool, policy: ActivePolicy, product_id: str, change: str
) -> None:
    good = new_id()
    write(pool, policy, product(good))
    with pool.connection() as conn:
        conn.execute(f"UPDATE prices SET {change} WHERE product_id = %s".encode(), [product_id])
    before = REGISTRY.get_sample_value("pricing_unreadable_sheets_total") or 0.0

    async def test(own: Stand) -> None:
        found, _ = await own.reader.find([product_id, good, "missing"])
        assert {each: hit.bound is not None for each, hit in found.items()} == {product_id: False, good: True}
        one, _ = await own.reader.find_one(product_id)
        assert (one and one.bound, one and one.source) == (None, "database")
        # Neither cache has it, and it is not taken for a missing product.
        assert (cache.get(sheets.key(product_id)), len(own.near)) == (None, 1)
        with pool.connection() as conn:
            conn.execute("UPDATE prices SET sheet = %s WHERE product_id = %s", [stored(product_id).json, product_id])
        found, _ = await own.reader.find([product_id])
        assert found[product_id].bound

    run(settings, test, near_entries=10)
    assert (REGISTRY.get_sample_value("pricing_unreadable_sheets_total") or 0.0) - before == 2
