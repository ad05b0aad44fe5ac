"""Years of data, made by arithmetic in the database: events, jobs, price changes and writes, all of them over."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg import sql

from deploy.native import state
from shared.postgres import partitions, pools
from tests.bench.recalculation.arena import Arena

TABLES = ("market_events", "tasks", "price_history", "audit_log")
# Within every retention of a new installation, so that nothing is deleted but what is measured.
DAYS = 395
PARALLEL = 2

# Row n of so many is the older the smaller n is; the rows are spread evenly over the days.
_AT = "now() - make_interval(days => {days}) * (1 - n / {rows}::float8) - interval '1 hour' AS at"
_EVENTS = """
INSERT INTO market_events (source, id, type, status, product_id, target, occurred_at, recorded_at, applied_at, data)
SELECT 'years', 'e-' || n, 'competitor_price_changed', 'applied', product_id, product_id, at, at, at,
    jsonb_build_object('product_id', product_id, 'competitor', 'acme', 'price', '99.99', 'currency', 'USD')
FROM generate_series(1, {rows}) n,
    LATERAL (SELECT {at}, 'B-' || lpad((1 + n % {products})::text, 7, '0') AS product_id) t
"""
_TASKS = """
INSERT INTO tasks (task_id, kind, product_set, status, created_at, started_at, finished_at, result)
SELECT gen_random_uuid(), CASE n % 50 WHEN 0 THEN 'recalculation' ELSE 'cache_sync' END, '{{"product_ids": ["B-1"]}}',
    'succeeded', at, at, at, '{{"changed": 1}}'
FROM generate_series(1, {rows}) n, LATERAL (SELECT {at}) t
"""
_HISTORY = """
INSERT INTO price_history (product_id, version, old_price, new_price, currency, cause, cause_id, policy_version,
    trace_id, recorded_at, old_sheet)
SELECT 'B-' || lpad((1 + n % {products})::text, 7, '0'), -n, 100, 101, 'USD', 'event', 'e-' || n, 1, '', at, NULL
FROM generate_series(1, {rows}) n, LATERAL (SELECT {at}) t
"""
_AUDIT = """
INSERT INTO audit_log (recorded_at, request_id, key_name, request, outcome)
SELECT at, gen_random_uuid(), 'years', 'PUT /api/v1/products/B-' || n, '200'
FROM generate_series(1, {rows}) n, LATERAL (SELECT {at}) t
"""
_STATEMENTS = {"market_events": _EVENTS, "tasks": _TASKS, "price_history": _HISTORY, "audit_log": _AUDIT}


def fill(arena: Arena, rows: int, products: int) -> None:
    """Put so many rows into each table, the oldest 395 days old."""
    _make_months(arena)
    with ThreadPoolExecutor(PARALLEL) as threads:
        list(threads.map(lambda table: _fill(arena, table, rows, products), TABLES))


def _make_months(arena: Arena) -> None:
    """Partitions of all months, as if the engine had run for all of them."""
    now = datetime.now(UTC)
    tables = [table for table in partitions.TABLES if table.name in TABLES]
    with pools.pool(arena.engine.settings, "bench", 1) as pool:
        for days in range(DAYS + 31, -1, -28):
            partitions.maintain(pool, arena.engine.settings, now - timedelta(days=days), tables)


def _fill(arena: Arena, table: str, rows: int, products: int) -> None:
    address = state.load(arena.engine.home).superuser_url
    with psycopg.connect(address, autocommit=True) as conn, _without_indexes(conn, table):
        conn.execute("SET synchronous_commit = off")
        at = _AT.format(days=DAYS, rows=rows)
        conn.execute(_STATEMENTS[table].format(rows=rows, products=products, at=at).encode())


@contextmanager
def _without_indexes(conn: psycopg.Connection[tuple[object, ...]], table: str) -> Iterator[None]:
    """Build the indexes of a plain table after it is filled, which takes a fraction of the time."""
    conn.execute("SET maintenance_work_mem = '256MB'")
    name = sql.Identifier(table)
    known = conn.execute(_INDEXES, [table]).fetchall()
    for index, is_key, _ in known:
        drop = "ALTER TABLE {} DROP CONSTRAINT {}" if is_key else "DROP INDEX {1}"
        conn.execute(sql.SQL(drop).format(name, sql.Identifier(str(index))))
    yield
    for index, is_key, definition in known:
        if is_key:
            add = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}")
            conn.execute(add.format(name, sql.Identifier(str(index)), sql.SQL(str(definition))))
        else:
            conn.execute(str(definition).encode())


_INDEXES = """
SELECT c.relname, k.oid IS NOT NULL, coalesce(pg_get_constraintdef(k.oid), pg_get_indexdef(c.oid))
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
LEFT JOIN pg_constraint k ON k.conindid = c.oid AND k.contype = 'p'
WHERE t.oid = %s::regclass AND t.relkind = 'r'
"""
