"""A restored database, a flushed cache and a foreign entry: prices are those of PostgreSQL again, without a restart."""

import asyncio
import os
import subprocess
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
import redis
from click.testing import CliRunner

from deploy.native import postgres_server
from shared.cache import commands, sheets
from shared.cache.sheets import Fill
from shared.cache.writer import SheetWriter
from shared.commands import demo
from shared.commands.epoch import new_epoch
from shared.postgres import epochs, pools
from shared.postgres.pools import Pool
from shared.prices import published
from shared.prices.new_versions import Cause
from shared.rulebook import store as rulebook
from shared.rulebook.store import ActivePolicy
from shared.settings import Settings
from tests.integration.cache.reader_stand import TTL_S, Stand, eventually, run, stand, version_of
from tests.integration.catalogue_examples import new_id, product, stored, write
from tests.support import backup

FORGED = 10**15


@pytest.fixture
def own_database(migrated_database: Callable[[], Settings]) -> Settings:
    """A migrated database of the test's own, beside the shared Redis."""
    settings = migrated_database()
    with pools.connect(settings, "tests") as conn:
        rulebook.ensure_default(conn)
        demo.ensure_markets(conn)
    return settings


def postgres(tool: str, settings: Settings, *arguments: str) -> None:
    """Run one of PostgreSQL's programs on a database."""
    program = postgres_server.binaries(Path("/nowhere"), os.environ) / tool
    subprocess.run([str(program), "-d", settings.database_url, *arguments], check=True)


def restore(settings: Settings, dump: str) -> None:
    """Replace all data by that of a dump, in one transaction, as docs/operating.md shows."""
    backup.restore(postgres_server.binaries(Path("/nowhere"), os.environ), settings.database_url, dump)


def write_price(settings: Settings, cache: redis.Redis, product_id: str, price: str) -> int:
    """Write a product and put its sheet; returns the version."""
    with pools.pool(settings, "tests", size=1) as pool:
        pool.wait()
        with pool.connection() as conn:
            wanted = product(product_id, category="books", base_price=Decimal(price))
            cause = Cause("write", new_id())
            repriced = published.write_products(conn, [wanted], rulebook.active_policy(conn), cause)
        SheetWriter(cache, cache, TTL_S, pool).put(list(repriced.sheets.values()))
    return repriced.sheets[product_id].version


async def is_version(own: Stand, product_id: str, version: int) -> bool:
    found, _ = await own.reader.find([product_id])
    return bool(found) and version_of(found[product_id]) == version


async def serves(own: Stand, product_id: str, version: int) -> None:
    await eventually(lambda: is_version(own, product_id, version), f"version {version} is served")


def epoch_of(settings: Settings) -> int:
    with psycopg.connect(settings.database_url) as conn:
        [(epoch,)] = conn.execute("SELECT current_epoch()").fetchall()
    return int(epoch)


def test_a_dump_restored_under_a_running_reader_brings_back_its_prices(
    own_database: Settings, cache: redis.Redis, tmp_path: Path
) -> None:
    product_id, dump = new_id(), str(tmp_path / "dump")
    write_price(own_database, cache, product_id, "10")
    postgres("pg_dump", own_database, "-Fc", "-f", dump)
    assert write_price(own_database, cache, product_id, "20") == 2
    assert write_price(own_database, cache, product_id, "30") == 3

    async def test(own: Stand) -> None:
        await serves(own, product_id, 3)
        await asyncio.to_thread(restore, own_database, dump)
        await serves(own, product_id, 1)
        assert await own.reader.cached_version(product_id) == 1
        assert await asyncio.to_thread(write_price, own_database, cache, product_id, "40") == 2
        await serves(own, product_id, 2)

    before = epoch_of(own_database)
    run(own_database, test, near_entries=10)
    assert before == 0
    assert epoch_of(own_database) > 0


def test_a_dump_in_another_database_has_another_epoch_and_each_restore_its_own(
    own_database: Settings, new_database: Callable[[], Settings], tmp_path: Path
) -> None:
    dump, other = str(tmp_path / "dump"), new_database()
    postgres("pg_dump", own_database, "-Fc", "-f", dump)
    postgres("pg_restore", other, dump)
    first = epoch_of(other)
    restore(other, dump)
    assert len({epoch_of(own_database), first, epoch_of(other)}) == 3


def test_a_writer_of_an_earlier_epoch_is_not_believed(
    settings: Settings, cache: redis.Redis, own_database: Settings
) -> None:
    product_id = new_id()
    write_price(own_database, cache, product_id, "10")
    with pools.connect(own_database, "tests") as conn:
        epochs.begin(conn)

    async def test(own: Stand) -> None:
        await serves(own, product_id, 1)
        SheetWriter(cache, cache, TTL_S).put([stored(product_id, 9)])
        own.near.changed([(product_id, 9)])
        assert await is_version(own, product_id, 1)
        assert await own.reader.cached_version(product_id) == 1

    run(own_database, test, near_entries=10)


def test_within_an_epoch_an_older_version_is_refused(cache: redis.Redis) -> None:
    product_id = new_id()
    sheet, older = (stored(product_id, version, epoch=77) for version in (10, 9))
    for command in (
        sheets.fill([Fill(sheet)], TTL_S, read_at_ms=2**52),
        sheets.put([older], TTL_S),
        sheets.fill([Fill(older)], TTL_S, read_at_ms=2**52),
    ):
        commands.run(cache, [command])
    entry = cache.get(sheets.key(product_id))
    assert isinstance(entry, bytes)
    assert entry.startswith(b"77.10|")
    assert sheets.decode(product_id, entry).version == 10


def test_a_foreign_sheet_ends_with_a_flush(
    settings: Settings, cache: redis.Redis, pool: Pool, policy: ActivePolicy
) -> None:
    """Two processes: what the first one reads from PostgreSQL reaches the second one over Redis."""
    product_id = new_id()
    write(pool, policy, product(product_id))
    cache.set(sheets.key(product_id), sheets.entry(stored(product_id, FORGED)), ex=1000)

    async def test(own: Stand) -> None:
        async with stand(settings, near_entries=10) as other:
            ahead = [asyncio.create_task(process.reader.read_ahead()) for process in (own, other)]
            for process in (own, other):
                await serves(process, product_id, FORGED)
            cache.delete(sheets.key(product_id))
            for process in (own, other):
                await serves(process, product_id, 1)
            for task in ahead:
                task.cancel()

    run(settings, test, near_entries=10)


def test_while_postgresql_is_away_a_lower_version_in_redis_is_no_reason_to_fail(
    settings: Settings, cache: redis.Redis, pool: Pool, policy: ActivePolicy
) -> None:
    product_id = new_id()
    write(pool, policy, product(product_id))
    cache.set(sheets.key(product_id), sheets.entry(stored(product_id, 7)), ex=1000)

    async def test(own: Stand) -> None:
        await serves(own, product_id, 7)
        own.postgres.shut()
        cache.set(sheets.key(product_id), sheets.entry(stored(product_id, 6)), ex=1000)
        own.near.changed([(product_id, 6)])
        assert await is_version(own, product_id, 7)

    run(settings, test, near_entries=10)


def test_a_foreign_sheet_ends_with_the_next_write(
    settings: Settings, cache: redis.Redis, pool: Pool, policy: ActivePolicy
) -> None:
    product_id = new_id()
    write(pool, policy, product(product_id))
    cache.set(sheets.key(product_id), sheets.entry(stored(product_id, FORGED)), ex=1000)

    async def test(own: Stand) -> None:
        ahead = asyncio.create_task(own.reader.read_ahead())
        await serves(own, product_id, FORGED)
        written = write(pool, policy, product(product_id, base_price=Decimal(77)))
        writer = SheetWriter(cache, cache, TTL_S, pool)
        await asyncio.to_thread(writer.put, list(written.sheets.values()))
        await serves(own, product_id, 2)
        assert await own.reader.cached_version(product_id) == 2
        ahead.cancel()

    run(settings, test, near_entries=10)


def test_a_foreign_sheet_ends_with_a_new_epoch(own_database: Settings, cache: redis.Redis) -> None:
    product_id = new_id()
    write_price(own_database, cache, product_id, "10")
    cache.set(sheets.key(product_id), sheets.entry(stored(product_id, FORGED)), ex=1000)

    async def test(own: Stand) -> None:
        await serves(own, product_id, FORGED)
        done = await asyncio.to_thread(CliRunner().invoke, new_epoch, obj=own_database)
        assert done.exit_code == 0, done.output
        await serves(own, product_id, 1)

    run(own_database, test, near_entries=10)


def test_a_stale_writer_does_not_replace_what_postgresql_confirms(
    settings: Settings, cache: redis.Redis, pool: Pool, policy: ActivePolicy
) -> None:
    product_id = new_id()
    old = write(pool, policy, product(product_id)).sheets[product_id]
    new = write(pool, policy, product(product_id, base_price=Decimal(77))).sheets[product_id]
    writer = SheetWriter(cache, cache, TTL_S, pool)
    cache.set(sheets.key(product_id), sheets.entry(new), ex=1000)
    writer.put([old])
    entry = cache.get(sheets.key(product_id))
    assert isinstance(entry, bytes)
    assert sheets.decode(product_id, entry).version == 2
