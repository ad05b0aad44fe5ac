"""A deleted product, and one created again under its id: no cache serves a price from before."""

import asyncio
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
import redis

from shared.cache import sheets
from shared.cache.writer import SheetWriter
from shared.postgres.pools import Pool
from shared.prices import holds, published
from shared.prices.history import price_changes
from shared.prices.holds import HoldFilter, HoldStatus
from shared.prices.new_versions import StoredSheet
from shared.rulebook.store import ActivePolicy
from shared.settings import Settings
from tests.integration.cache.reader_stand import TTL_S, Stand, eventually, run, version_of
from tests.integration.catalogue_examples import add_competitor, new_id, product, task_cause, write
from tests.integration.importing_examples import imported


def deleted(pool: Pool, product_id: str) -> StoredSheet | None:
    with pool.connection() as conn:
        return published.delete(conn, product_id)


@pytest.fixture
def writer(cache: redis.Redis, pool: Pool) -> SheetWriter:
    return SheetWriter(cache, cache, TTL_S, pool)


def test_a_deletion_takes_the_next_version_and_a_new_product_the_one_after(pool: Pool, policy: ActivePolicy) -> None:
    product_id = new_id()
    for price in (10, 20, 30):
        write(pool, policy, product(product_id, base_price=Decimal(price)))
    gone = deleted(pool, product_id)
    assert gone is not None
    assert (gone.version, gone.json) == (4, "")
    assert deleted(pool, product_id) is None
    again = write(pool, policy, product(product_id))
    assert again.created == (product_id,)
    assert again.sheets[product_id].version == 5
    changed = write(pool, policy, product(product_id, base_price=Decimal(40)))
    assert (changed.created, changed.sheets[product_id].version) == ((), 6)
    with pool.connection() as conn:
        versions = [change.version for change in price_changes(conn, product_id, 10)]
    assert versions == [6, 5, 4, 3, 2, 1]
    twice = deleted(pool, product_id)
    assert twice is not None
    assert twice.version == 7


def test_a_hold_ends_with_the_product(pool: Pool, policy: ActivePolicy) -> None:
    product_id = new_id()
    careful = msgspec.structs.replace(policy, policy=msgspec.structs.replace(policy.policy, hold_above=Decimal("0.1")))
    write(pool, careful, product(product_id))
    with pool.connection() as conn:
        add_competitor(conn, product_id, "60.00")
        published.reprice(conn, [product_id], careful, task_cause())
        mine = HoldFilter(product_id=product_id)
        assert len(holds.page(conn, "open", mine, 9, None)) == 1
        published.delete(conn, product_id)
        ended: tuple[HoldStatus, ...] = ("open", "replaced")
        assert [len(holds.page(conn, status, mine, 9, None)) for status in ended] == [0, 1]


def test_signals_go_with_the_product(pool: Pool, policy: ActivePolicy) -> None:
    product_id = new_id()
    write(pool, policy, product(product_id))
    with pool.connection() as conn:
        add_competitor(conn, product_id, "5")
    deleted(pool, product_id)
    write(pool, policy, product(product_id))
    with pool.connection() as conn:
        assert not conn.execute("SELECT 1 FROM signals WHERE product_id = %s", [product_id]).fetchall()


def test_a_deleted_product_has_no_price_and_one_created_again_has_its_new_one(
    settings: Settings, pool: Pool, policy: ActivePolicy, cache: redis.Redis, writer: SheetWriter
) -> None:
    product_id = new_id()
    first = write(pool, policy, product(product_id, base_price=Decimal(10))).sheets[product_id]
    writer.put([first])

    async def test(own: Stand) -> None:
        async def has(version: int | None) -> bool:
            found, _ = await own.reader.find([product_id])
            return (version_of(found[product_id]) if found else None) == version

        await eventually(lambda: has(1), "the product has its price")
        gone = await asyncio.to_thread(deleted, pool, product_id)
        assert gone is not None
        await asyncio.to_thread(writer.put, [gone])
        await eventually(lambda: has(None), "it has none any more")
        await asyncio.to_thread(writer.put, [first])
        assert await has(None), "a writer that was late by a deletion"
        await asyncio.to_thread(write, pool, policy, product(product_id, base_price=Decimal(20)))
        await asyncio.to_thread(writer.created)
        await eventually(lambda: has(3), "the new product has its own")
        assert await own.reader.cached_version(product_id) == 3

    run(settings, test, near_entries=10)


def test_a_cache_sync_makes_up_for_a_deletion_while_redis_was_away(
    pool: Pool, policy: ActivePolicy, cache: redis.Redis, writer: SheetWriter
) -> None:
    product_id = new_id()
    writer.put(list(write(pool, policy, product(product_id)).sheets.values()))
    deleted(pool, product_id)
    with pool.connection() as conn:
        writer.put(published.stored_sheets(conn, [product_id]))
    assert cache.get(sheets.key(product_id)) == b"2|?"
    with pool.connection() as conn:
        write(pool, policy, product(product_id))
        [stored] = published.stored_sheets(conn, [product_id])
    assert stored.version == 3


def test_an_import_goes_on_with_the_versions(pool: Pool, policy: ActivePolicy, tmp_path: Path) -> None:
    product_id, other = new_id(), new_id()
    write(pool, policy, product(product_id))
    deleted(pool, product_id)
    file = tmp_path / "products.csv"
    file.write_text(f"product_id,name,currency,base_price\n{product_id},Kettle,USD,12\n{other},Pot,USD,13\n")
    assert imported(pool, file).code == 0
    with pool.connection() as conn:
        stored = {sheet.product_id: sheet for sheet in published.stored_sheets(conn, [product_id, other])}
        history = [change.version for change in price_changes(conn, product_id, 10)]
    assert (stored[product_id].version, stored[other].version) == (3, 1)
    entry = sheets.entry(stored[product_id]).encode()
    assert sheets.decode(product_id, entry).published_price == Decimal(12)
    assert history == [3, 2, 1]
