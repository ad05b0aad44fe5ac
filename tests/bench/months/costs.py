"""The cost of everyday work beside the rows that a database has gathered, in milliseconds."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from statistics import median
from typing import Any

import msgspec

from shared.jobs import retention as old_tasks
from shared.jobs import tasks
from shared.market_events import retention as old_events
from shared.postgres import partitions, pools
from shared.postgres.pools import Conn
from shared.prices import repricing_queue
from tests.bench.months import years
from tests.bench.recalculation import catalogue, event_latency
from tests.bench.recalculation.arena import Arena

# Of each round.
EVENTS, TIMES, SLICES = 20, 20, 2
SLICE = 1_000
# The oldest rows are older, so that there is something to delete.
KEPT_DAYS = years.DAYS - 30

PAGES = {
    "a page of the price history": f"/api/v1/products/{catalogue.product_id(7)}/price-history?limit=10",
    "a page of the market events": "/api/v1/market-events?limit=10",
    "a page of the jobs": "/api/v1/tasks?limit=10",
    "a page of the audit log": "/api/v1/audit-log?limit=10",
}


def measured(arena: Arena, products: int, number: int) -> dict[str, float]:
    """The median of each cost in the round of this number, from 1 on; each round drops one more month."""
    catalogue.tidy(arena.engine)
    found = {"event to served price": event_latency.idle(arena, products, EVENTS)["p50"]}
    found |= {name: _page_ms(arena, path) for name, path in PAGES.items()}
    with pools.pool(arena.engine.settings, "bench", 1) as pool:

        def timed(times: int, work: Callable[[Conn], Any], *, is_kept: bool) -> float:
            taken = []
            for _ in range(times):
                with pool.connection() as conn:
                    begun = time.perf_counter()
                    work(conn)
                    taken.append((time.perf_counter() - begun) * 1000)
                    if not is_kept:
                        conn.rollback()
            return median(taken)

        found["sweep"] = timed(TIMES, _sweep, is_kept=False)
        for name, purge in (("events", old_events.purge), ("jobs", old_tasks.purge)):
            found[f"retention of {SLICE:,} {name}"] = timed(SLICES, _purging(purge), is_kept=True)
        days = KEPT_DAYS - 31 * number
        settings = msgspec.structs.replace(arena.engine.settings, history_days=days, audit_days=days)
        tables = [table for table in partitions.TABLES if table.name in years.TABLES]
        begun = time.perf_counter()
        partitions.maintain(pool, settings, datetime.now(UTC), tables)
        found["retention by months"] = (time.perf_counter() - begun) * 1000
    return found


def _sweep(conn: Conn) -> None:
    repricing_queue.take_due(conn)
    tasks.claim_waiting(conn)


def _purging(purge: Callable[[Conn, int, int], int]) -> Callable[[Conn], None]:
    def work(conn: Conn) -> None:
        assert purge(conn, SLICE, KEPT_DAYS) == SLICE, "there was less to delete than is measured"

    return work


def _page_ms(arena: Arena, path: str) -> float:
    taken = []
    for _ in range(TIMES):
        begun = time.perf_counter()
        answer = arena.engine.http.get(path)
        taken.append((time.perf_counter() - begun) * 1000)
        assert answer.status_code == 200, answer.text
    return median(taken)
