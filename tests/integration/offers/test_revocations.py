"""Revocations of offers, in PostgreSQL and in a process's copy."""

import asyncio
from datetime import datetime, timedelta

import msgspec
import pytest

from shared.errors import DatabaseUnavailable
from shared.offers import revocations
from shared.offers.revocations import RevocationsCopy
from shared.postgres import clock, pools
from shared.postgres.pools import Pool
from shared.settings import Settings


def test_the_latest_instant_counts_and_none_is_in_the_future(pool: Pool) -> None:
    with pool.connection() as conn:
        now = revocations.revoke(conn, None, "a wrong list", "test")
        assert revocations.revoke(conn, now - timedelta(hours=1), "earlier", "test") == now
        later = revocations.revoke(conn, now + timedelta(days=1), "tomorrow", "test")
        assert now < later <= clock.now(conn)
        assert [row.reason for row in revocations.listed(conn)][:3] == ["tomorrow", "earlier", "a wrong list"]


def test_a_copy_keeps_the_last_instant_while_postgres_is_away(settings: Settings, pool: Pool) -> None:
    with pool.connection() as conn:
        before = revocations.revoke(conn, None, "a wrong list", "test")

    async def look() -> datetime | None:
        reads = pools.read_pool(settings, "tests", 1)
        await reads.open()
        copy = RevocationsCopy(reads)
        assert await copy.current() == before
        await reads.close()
        await copy.read()
        return await copy.current()

    assert asyncio.run(look()) == before


def test_without_ever_reading_it_no_offer_is_said_to_hold(settings: Settings) -> None:
    nowhere = msgspec.structs.replace(settings, database_url="postgresql://nobody@127.0.0.1:1/none")

    async def look() -> None:
        reads = pools.read_pool(nowhere, "tests", 1)
        await reads.open(wait=False)
        try:
            await RevocationsCopy(reads).current()
        finally:
            await reads.close()

    with pytest.raises(DatabaseUnavailable):
        asyncio.run(look())
