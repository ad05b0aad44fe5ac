"""Metrics whose figures are in PostgreSQL."""

from collections.abc import Iterable, Iterator
from typing import Any

import psycopg
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from shared.postgres.pools import Conn, Pool


class PriceStatistics(Collector):
    """Prices recalculated by all workers on all machines, from PostgreSQL's own statistics."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def collect(self) -> Iterator[CounterMetricFamily]:
        """One sample; none while PostgreSQL is away."""
        family = CounterMetricFamily(
            "pricing_prices_recalculated",
            "Prices decided anew, over all workers: rows appended to the price history. The same on every API",
        )
        try:
            with self._pool.connection() as conn:
                row = conn.execute(_RECALCULATED).fetchone()
        except psycopg.Error:
            return
        if row:
            family.add_metric([], row["n_tup_ins"])
            yield family


class BacklogMetrics(Collector):
    """Waiting, running and failed jobs, the last run and the imports, over all processes and machines."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def collect(self) -> Iterator[Metric]:
        """All figures of one read; while PostgreSQL is away only `pricing_postgres_up`."""
        try:
            with self._pool.connection() as conn:
                row: dict[str, Any] | None = read(conn)
        except psycopg.Error:
            row = None
        yield GaugeMetricFamily("pricing_postgres_up", "Whether PostgreSQL responds to the listener", value=bool(row))
        if row:
            yield from _families(row)


def read(conn: Conn) -> dict[str, Any]:
    """The figures themselves, by name: `events` and `tasks` wait, `events_failed`, `tasks_failed` are dead letters."""
    row = conn.execute(_BACKLOG).fetchone()
    assert row  # noqa: S101 # it selects one row, always
    return row


def _families(row: dict[str, Any]) -> Iterator[Metric]:
    queues = ("events", "tasks")
    yield _by(
        GaugeMetricFamily(
            "pricing_queue_depth", "Events and tasks in PostgreSQL that are accepted and not ended", labels=["queue"]
        ),
        ((queue, row[queue]) for queue in queues),
    )
    yield _by(
        GaugeMetricFamily(
            "pricing_queue_oldest_age_seconds",
            "Age of the oldest of them, without events that wait for their product",
            labels=["queue"],
        ),
        ((queue, row[f"{queue}_age_s"]) for queue in queues),
    )
    yield _by(
        GaugeMetricFamily(
            "pricing_dead_letters", "Events and tasks that failed, for an operator to replay", labels=["queue"]
        ),
        ((queue, row[f"{queue}_failed"]) for queue in queues),
    )
    yield GaugeMetricFamily("pricing_tasks_running", "Background jobs that run now", value=row["running"])
    outcomes = ("created", "changed", "unchanged", "rejected")
    yield _by(
        CounterMetricFamily("pricing_import_rows", "Rows of imports that were kept", labels=["outcome"]),
        ((outcome, row[outcome]) for outcome in outcomes),
    )
    if row["run_ended_at"] is not None:
        for name, meaning, column in _LAST_RUN:
            yield GaugeMetricFamily(f"pricing_last_run_{name}", meaning, value=float(row[column]))


def _by(
    family: GaugeMetricFamily | CounterMetricFamily, values: Iterable[tuple[str, float]]
) -> GaugeMetricFamily | CounterMetricFamily:
    for value, amount in values:
        family.add_metric([value], float(amount))
    return family


_LAST_RUN = (
    ("duration_seconds", "From the start to the end of the last recalculation that succeeded", "run_s"),
    ("products", "Products that the last successful recalculation decided", "run_products"),
    ("timestamp_seconds", "End of the last successful recalculation", "run_ended_at"),
)

# Each part reads a small index or a table of a few rows.
# The counter goes back when a month is dropped, as after a restart of PostgreSQL.
_RECALCULATED = """
SELECT coalesce(sum(n_tup_ins), 0)::bigint AS n_tup_ins FROM pg_stat_user_tables s
JOIN pg_partition_tree('price_history') t ON t.relid = s.relid
"""

# The age leaves out events that came before their products: they wait for up to an hour, and nobody has to act. The
# thousand oldest events are read; the last of a thousand counts in any case.
_BACKLOG = """
SELECT w.*, a.*, q.*, i.*, r.*,
    (SELECT count(*) FROM tasks WHERE status = 'running') AS running,
    (SELECT count(*) FROM market_events WHERE status = 'failed') AS events_failed,
    (SELECT count(*) FROM tasks WHERE status = 'failed') AS tasks_failed
FROM (SELECT count(*) AS events FROM market_events WHERE status = 'received') w,
    (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(recorded_at)), 0) AS events_age_s FROM (
        SELECT recorded_at, product_id, row_number() OVER (ORDER BY recorded_at) AS number
        FROM market_events WHERE status = 'received' ORDER BY recorded_at LIMIT 1000) o
        WHERE product_id IS NULL OR number = 1000
            OR EXISTS (SELECT FROM products p WHERE p.product_id = o.product_id)) a,
    (SELECT count(*) AS tasks, coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0) AS tasks_age_s
        FROM tasks WHERE status = 'queued') q,
    (SELECT coalesce(sum(created), 0) AS created, coalesce(sum(changed), 0) AS changed,
        coalesce(sum(unchanged), 0) AS unchanged, coalesce(sum(rejected), 0) AS rejected FROM imports) i
    LEFT JOIN (SELECT extract(epoch FROM finished_at - started_at) AS run_s,
        coalesce((result->>'recalculated')::bigint, 0) AS run_products, extract(epoch FROM finished_at) AS run_ended_at
        FROM tasks WHERE kind = 'recalculation' AND status = 'succeeded' ORDER BY finished_at DESC LIMIT 1) r ON true
"""
