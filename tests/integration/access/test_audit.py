"""The audit log: each entry once, in one statement with others, and later where PostgreSQL is away."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from shared.access import audit, audit_log
from shared.access.audit import Entry, EntryView, Filter
from shared.access.audit_log import AuditLog
from shared.postgres import pools
from shared.postgres.pools import Pool
from shared.settings import Settings
from shared.telemetry.metrics import AUDIT_LOST
from tests.support.proxy import Proxy, proxy_to

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _empty(pool: Pool) -> None:
    with pool.connection() as conn:
        conn.execute("TRUNCATE audit_log")


def entry(request: str = "PUT /x", key_id: int | None = 1, at: datetime = NOON) -> Entry:
    return Entry(key_id=key_id, key_name="shop", request=request, outcome="200", trace_id="0" * 32, recorded_at=at)


def listed(pool: Pool, limit: int = 100, before: int | None = None, **chosen: Any) -> list[EntryView]:
    with pool.connection() as conn:
        return audit.listed(conn, Filter(**chosen), limit, before)


def run(settings: Settings, work: Callable[[AuditLog], Coroutine[Any, Any, None]]) -> None:
    async def prepared() -> None:
        async with pools.read_pool(settings, "tests", size=2) as database:
            await work(AuditLog(database))

    asyncio.run(prepared())


def test_an_entry_is_stored_when_record_returns(settings: Settings, pool: Pool) -> None:
    async def work(log: AuditLog) -> None:
        await log.record(entry())
        [found] = await asyncio.to_thread(listed, pool)
        assert (found.key_id, found.key_name, found.request, found.outcome) == (1, "shop", "PUT /x", "200")
        assert (found.recorded_at, found.trace_id) == (NOON, "0" * 32)

    run(settings, work)


def test_entries_of_concurrent_requests_share_statements(
    settings: Settings, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    record_all = audit.record_all

    async def counted(database: Any, entries: Any) -> None:
        batches.append(len(entries))
        await record_all(database, entries)

    monkeypatch.setattr(audit, "record_all", counted)

    async def work(log: AuditLog) -> None:
        await asyncio.gather(*(log.record(entry(f"PUT /{number}")) for number in range(100)))

    run(settings, work)
    assert len(listed(pool)) == 100
    assert len(batches) <= 2


def test_an_entry_that_is_sent_twice_is_stored_once(pool: Pool) -> None:
    twice = entry()
    for _ in range(2):
        with pool.connection() as conn:
            audit.record(conn, twice)
    assert len(listed(pool)) == 1


def test_while_postgresql_is_away_entries_wait_and_are_stored_when_it_is_back(settings: Settings, pool: Pool) -> None:
    async def work(proxy: Proxy, log: AuditLog) -> None:
        await log.record(entry("PUT /first"))
        proxy.shut()
        for number in range(3):
            await log.record(entry(f"PUT /{number}"))
        proxy.open()
        await log.record(entry("PUT /last"), wait_s=30)
        while len(await asyncio.to_thread(listed, pool)) < 5:
            await asyncio.sleep(0.05)

    with proxy_to(settings.database_url) as proxy:
        through = msgspec.structs.replace(settings, database_url=proxy.url())
        run(through, lambda log: asyncio.wait_for(work(proxy, log), timeout=60))
    assert len(listed(pool)) == 5


def test_entries_that_wait_are_bounded_and_the_lost_ones_counted(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_log, "MOST_WAITING", 2)
    monkeypatch.setattr(audit_log, "WAIT_S", 0.01)
    lost = AUDIT_LOST._value.get()

    async def work(log: AuditLog) -> None:
        for _ in range(5):
            await log.record(entry(), wait_s=0)
        await log.close()

    with proxy_to(settings.database_url) as proxy:
        proxy.shut()
        run(msgspec.structs.replace(settings, database_url=proxy.url()), work)
    assert AUDIT_LOST._value.get() == lost + 5


def test_what_cannot_be_stored_is_lost_alone(settings: Settings, pool: Pool) -> None:
    lost = AUDIT_LOST._value.get()

    async def work(log: AuditLog) -> None:
        await log.record(entry("a\0b"))
        await log.record(entry("PUT /next"))

    run(settings, work)
    assert [found.request for found in listed(pool)] == ["PUT /next"]
    assert AUDIT_LOST._value.get() == lost + 1


def test_entries_are_listed_newest_first_page_by_page(pool: Pool) -> None:
    with pool.connection() as conn:
        for number in range(5):
            audit.record(conn, entry(f"PUT /{number}"))
    first = listed(pool, limit=2)
    second = listed(pool, limit=2, before=first[-1].id)
    assert [found.request for found in first + second] == ["PUT /4", "PUT /3", "PUT /2", "PUT /1"]


def test_entries_are_chosen_by_key_and_time(pool: Pool) -> None:
    hour = timedelta(hours=1)
    with pool.connection() as conn:
        for key_id, at in ((1, NOON), (2, NOON + hour), (None, NOON + 2 * hour)):
            audit.record(conn, entry(key_id=key_id, at=at))
    assert [found.key_id for found in listed(pool, key_id=2)] == [2]
    assert [found.key_id for found in listed(pool, since=NOON + hour)] == [None, 2]
    assert [found.key_id for found in listed(pool, until=NOON + hour)] == [1]
    assert [found.key_id for found in listed(pool, since=NOON + hour, until=NOON + 2 * hour)] == [2]


def test_a_request_is_stored_printable_and_short() -> None:
    assert audit.shortened("PUT /\x1b[2J\0" + "x" * 1_000).startswith("PUT /\\u001b[2J\\u0000")
    assert len(audit.shortened("x" * 1_000)) == audit.LONGEST_REQUEST
