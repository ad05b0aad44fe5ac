"""A process's copy of the keys: no statement for a known key, and no way round a revocation."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from shared.access import keys
from shared.access.known import KnownKeys
from shared.access.scopes import Scope
from shared.errors import DatabaseUnavailable, Unauthorized
from shared.postgres import pools
from shared.postgres.pools import Pool
from shared.settings import Settings
from tests.support.proxy import Proxy, proxy_to

NOON = datetime(2027, 1, 1, 12, tzinfo=UTC)


def created(pool: Pool, *scopes: Scope, expires_at: datetime | None = None) -> tuple[int, str]:
    with pool.connection() as conn:
        return keys.create(conn, "shop", scopes or ("prices:read",), "just", expires_at)


def revoke(pool: Pool, key_id: int) -> None:
    with pool.connection() as conn:
        keys.revoke(conn, key_id)


@asynccontextmanager
async def knowing(
    settings: Settings, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> AsyncIterator[KnownKeys]:
    async with pools.read_pool(settings, "tests", size=2) as database:
        known = KnownKeys(database, now)
        await known.refresh()
        yield known


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def test_a_known_key_is_found_with_its_name_and_scopes(settings: Settings, pool: Pool) -> None:
    key_id, key = created(pool, "prices:read", "operate")

    async def check() -> None:
        async with knowing(settings) as known:
            found = known.held(key)
            assert found is not None
            assert (found.id, found.name, found.scopes) == (key_id, "shop", frozenset({"prices:read", "operate"}))
            assert known.held(f"{key}x") is None
            assert await known.find(key) == found

    run(check())


def test_a_key_that_was_made_a_moment_ago_is_found(settings: Settings, pool: Pool) -> None:
    async def check() -> None:
        async with knowing(settings) as known:
            _, key = await asyncio.to_thread(created, pool)
            assert known.held(key) is None
            assert (await known.find(key)).name == "shop"

    run(check())


def test_a_revoked_key_is_refused_after_the_next_reading(settings: Settings, pool: Pool) -> None:
    key_id, key = created(pool)

    async def check() -> None:
        async with knowing(settings) as known:
            assert known.held(key)
            await asyncio.to_thread(revoke, pool, key_id)
            await reread(known)
            assert known.held(key) is None
            with pytest.raises(Unauthorized, match="revoked"):
                await known.find(key)

    run(check())


async def reread(known: KnownKeys) -> None:
    """A reading that began after this call: each unknown key causes one."""
    with pytest.raises(Unauthorized):
        await known.find("nobody")


def test_an_expired_key_is_refused_though_it_was_read_before(settings: Settings, pool: Pool) -> None:
    # The database has another clock, by which the key is live.
    _, key = created(pool, expires_at=NOON)
    clock = [NOON - timedelta(microseconds=1)]

    async def check() -> None:
        async with knowing(settings, lambda: clock[0]) as known:
            assert known.held(key)
            clock[0] = NOON
            assert known.held(key) is None

    run(check())


def test_a_key_that_has_expired_by_the_database_is_not_read(settings: Settings, pool: Pool) -> None:
    _, key = created(pool, expires_at=datetime.now(UTC) - timedelta(seconds=1))

    async def check() -> None:
        async with knowing(settings, lambda: NOON - timedelta(days=9_000)) as known:
            with pytest.raises(Unauthorized):
                await known.find(key)

    run(check())


def test_without_the_database_known_keys_go_on_and_unknown_ones_may_try_again(settings: Settings, pool: Pool) -> None:
    _, key = created(pool)

    async def check(proxy: Proxy) -> None:
        async with knowing(msgspec.structs.replace(settings, database_url=proxy.url())) as known:
            proxy.shut()
            assert (await known.find(key)).name == "shop"
            with pytest.raises(DatabaseUnavailable):
                await known.find("nobody")
            await known.refresh()
            assert (await known.find(key)).name == "shop"

    with proxy_to(settings.database_url) as proxy:
        run(check(proxy))


def test_many_unknown_keys_at_once_cause_one_reading(
    settings: Settings, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = []
    live = keys.live

    async def counted(database: Any) -> Any:
        readings.append(1)
        return await live(database)

    monkeypatch.setattr(keys, "live", counted)

    async def check() -> None:
        async with knowing(settings) as known:
            readings.clear()
            found = await asyncio.gather(
                *(known.find(f"nobody-{number}") for number in range(50)), return_exceptions=True
            )
            assert {type(error) for error in found} == {Unauthorized}

    run(check())
    assert len(readings) == 1


@pytest.mark.parametrize("key", ["", " ", "nonsense", "a\0b", "é", "x" * 10_000])
def test_an_unknown_key_is_refused(settings: Settings, key: str) -> None:
    async def check() -> None:
        async with knowing(settings) as known:
            with pytest.raises(Unauthorized):
                await known.find(key)

    run(check())


def last_used(pool: Pool, key_id: int) -> datetime | None:
    with pool.connection() as conn:
        row = conn.execute("SELECT last_used_at FROM api_keys WHERE id = %s", [key_id]).fetchone()
    assert row
    used: datetime | None = row["last_used_at"]
    return used


def test_the_last_use_is_stored_later_and_never_goes_back(settings: Settings, pool: Pool) -> None:
    key_id, key = created(pool)
    other_id, _ = created(pool)
    clock = [NOON]

    async def check() -> None:
        async with knowing(settings, lambda: clock[0]) as known:
            for _ in range(3):
                assert known.held(key)
            assert await asyncio.to_thread(last_used, pool, key_id) is None
            await known.note_use()
            clock[0] = NOON - timedelta(hours=1)
            assert known.held(key)
            await known.note_use()

    run(check())
    assert last_used(pool, key_id) == NOON
    assert last_used(pool, other_id) is None


def test_a_last_use_that_cannot_be_stored_is_stored_later(settings: Settings, pool: Pool) -> None:
    key_id, key = created(pool)

    async def check(proxy: Proxy) -> None:
        async with knowing(msgspec.structs.replace(settings, database_url=proxy.url()), lambda: NOON) as known:
            assert known.held(key)
            proxy.shut()
            await known.note_use()
            proxy.open()
            await known.note_use()

    with proxy_to(settings.database_url) as proxy:
        run(check(proxy))
    assert last_used(pool, key_id) == NOON
