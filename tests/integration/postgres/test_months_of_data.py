"""Beside years of ended work: what is over is deleted in slices, and no hot statement reads a whole table."""

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from shared.jobs import backlog_metrics, merging, tasks
from shared.jobs import retention as old_tasks
from shared.market_events import inbox
from shared.market_events import retention as old_events
from shared.postgres import pools
from shared.postgres.pools import Conn, Pool
from shared.prices import repricing_queue
from shared.settings import Settings

# No other test's rows are so old.
DAYS = 18_000
ROWS = 300_000

OLD_EVENTS = """
INSERT INTO market_events (source, id, type, status, product_id, occurred_at, recorded_at, data)
SELECT 'retention', n::text, 'demand_changed', CASE n WHEN 3 THEN 'received' ELSE 'applied' END, 'P-' || n, at, at, '{}'
FROM generate_series(1, %(rows)s) n,
    LATERAL (SELECT clock_timestamp() - make_interval(days => %(days)s, secs => -n)) t (at)
"""
OLD_TASKS = """
INSERT INTO tasks (task_id, kind, product_set, status, created_at, started_at, finished_at)
SELECT gen_random_uuid(), 'recalculation', '{}', 'succeeded', at, at, at
FROM generate_series(1, %(rows)s) n,
    LATERAL (SELECT clock_timestamp() - make_interval(days => %(days)s, secs => -n)) t (at)
"""
PLAN = """
INSERT INTO plans (plan_id, author, changes, rulebook_version, values_version, task_id)
VALUES (gen_random_uuid(), 'tests', '[]', 1, 1, %(task_id)s)
"""


def test_settled_events_go_by_slices_and_waiting_ones_stay(pool: Pool) -> None:
    with pool.connection() as conn, conn.transaction(force_rollback=True):
        conn.execute(OLD_EVENTS, {"rows": 5, "days": DAYS + 2})
        assert [old_events.purge(conn, 3, DAYS) for _ in range(3)] == [3, 1, 0]
        left = conn.execute("SELECT id FROM market_events WHERE source = 'retention'").fetchall()
        assert [row["id"] for row in left] == ["3"]
        assert old_events.purge(conn, 3, DAYS * 2) == 0


def test_ended_jobs_go_but_not_those_of_plans(pool: Pool) -> None:
    with pool.connection() as conn, conn.transaction(force_rollback=True):
        conn.execute(OLD_TASKS, {"rows": 4, "days": DAYS + 2})
        oldest = conn.execute("SELECT task_id FROM tasks ORDER BY finished_at LIMIT 1").fetchall()
        conn.execute(PLAN, oldest[0])
        assert [old_tasks.purge(conn, 2, DAYS) for _ in range(3)] == [2, 1, 0]
        assert conn.execute("SELECT task_id FROM tasks ORDER BY finished_at LIMIT 1").fetchall() == oldest


@pytest.mark.parametrize("table", ["market_events", "tasks"])
def test_autovacuum_waits_for_two_percent_of_a_table_that_grows(pool: Pool, table: str) -> None:
    with pool.connection() as conn:
        [row] = conn.execute("SELECT reloptions FROM pg_class WHERE oid = %s::regclass", [table]).fetchall()
    assert "autovacuum_vacuum_scale_factor=0.02" in row["reloptions"]


@pytest.fixture(scope="module")
def large(migrated_database: Callable[[], Settings]) -> Iterator[Settings]:
    """A database with two years of events and jobs, all of them ended."""
    settings = migrated_database()
    with pools.connect(settings, "tests") as conn:
        conn.execute("ALTER TABLE market_events SET (autovacuum_enabled = off)")
        for rows in (OLD_EVENTS, OLD_TASKS):
            conn.execute(rows, {"rows": ROWS, "days": 700})
        conn.execute("UPDATE market_events SET status = 'applied' WHERE status = 'received'")
        conn.execute("ANALYZE market_events, tasks")
    yield settings


def queued(conn: Conn) -> None:
    """A recalculation that asks whether a later run includes it."""
    task_id = uuid4()
    conn.execute(
        "INSERT INTO tasks (task_id, kind, product_set) VALUES (%s, 'recalculation', '{\"category\": \"none\"}')",
        [task_id],
    )
    merging.skip_if_covered(conn, task_id)


HOT: dict[str, Callable[[Conn], object]] = {
    "due targets": lambda conn: repricing_queue.take_due(conn, limit=1_000),
    "waiting jobs": tasks.claim_waiting,
    "a later run": queued,
    "the oldest waiting events": lambda conn: inbox.oldest(conn, ["P-1", "P-2"]),
    "old events": lambda conn: old_events.purge(conn, 1_000, 800),
    "old jobs": lambda conn: old_tasks.purge(conn, 1_000, 800),
    "the scrape": lambda conn: conn.execute(backlog_metrics._BACKLOG.encode()),
}


@pytest.mark.long
@pytest.mark.parametrize("name", HOT)
def test_a_hot_statement_reads_neither_table_as_a_whole(large: Settings, name: str) -> None:
    with pools.connect(large, "tests") as conn:
        # A parallel worker's reads are not in this transaction's statistics.
        conn.execute("SET LOCAL max_parallel_workers_per_gather = 0")
        HOT[name](conn)
        read = conn.execute(
            "SELECT relname, seq_tup_read + idx_tup_fetch AS rows FROM pg_stat_xact_user_tables"
            " WHERE relname IN ('market_events', 'tasks')"
        ).fetchall()
        conn.rollback()
    assert all((row["rows"] or 0) < ROWS / 100 for row in read), read
