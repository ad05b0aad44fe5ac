"""Rows whose time is over are deleted, and their months dropped, under load."""

from datetime import UTC, datetime, timedelta

from shared.postgres import partitions, pools
from tests.chaos.case import Case, Figure, at_most
from tests.chaos.context import Context

ROWS, QUICK_ROWS = 60_000, 15_000
# Longer than every retention of a new installation.
DAYS = 500
GONE_S, LATE_S, SLOWEST_READ_S = 45.0, 5.0, 1.0
MONTHLY = ("price_history", "audit_log")

_AT = "clock_timestamp() - make_interval(days => %s, secs => n)"
_FILL = (
    "INSERT INTO market_events (source, id, type, status, product_id, occurred_at, recorded_at, data)"
    f" SELECT 'old', n::text, 'demand_changed', 'applied', 'old', {_AT}, {_AT}, '{{}}' FROM generate_series(1, %s) n",
    "INSERT INTO tasks (task_id, kind, product_set, status, created_at, finished_at)"
    f" SELECT gen_random_uuid(), 'cache_sync', '{{}}', 'succeeded', {_AT}, {_AT} FROM generate_series(1, %s) n",
    "INSERT INTO price_history (product_id, version, new_price, currency, cause, cause_id, policy_version, trace_id,"
    " recorded_at)"
    f" SELECT 'old-' || n, 1, 1, 'USD', 'import', '', 1, '', {_AT} FROM generate_series(1, %s) n",
    "INSERT INTO audit_log (request_id, key_name, request, outcome, recorded_at)"
    f" SELECT gen_random_uuid(), 'old', 'PUT', '200', {_AT} FROM generate_series(1, %s) n",
)
_LEFT = f"""
SELECT (SELECT count(*) FROM market_events WHERE source = 'old')
    + (SELECT count(*) FROM tasks WHERE finished_at < clock_timestamp() - make_interval(days => {DAYS}))
    + (SELECT count(*) FROM price_history WHERE product_id LIKE 'old-%%')
    + (SELECT count(*) FROM audit_log WHERE key_name = 'old') AS n
"""
_LATEST = (
    "SELECT coalesce(max(extract(epoch FROM applied_at - recorded_at)), 0) AS s FROM market_events WHERE source = %s"
)


def _played(context: Context) -> Figure:
    engine, rows = context.environment.engine, QUICK_ROWS if context.quick else ROWS
    tables = [table for table in partitions.TABLES if table.name in MONTHLY]
    with pools.pool(engine.settings, "chaos", 1) as pool:
        partitions.maintain(pool, engine.settings, datetime.now(UTC) - timedelta(days=DAYS + 31), tables)
        before = len(context.reader.reads)
        for statement in _FILL:
            engine.sql(statement, *[DAYS] * (statement.count("%s") - 1), rows)
        partitions.maintain(pool, engine.settings, datetime.now(UTC), tables)
    took = context.seconds_until(lambda: engine.sql(_LEFT)[0]["n"] == 0, "the old rows are gone")
    accepted = len(context.traffic.accepted)
    context.seconds_until(lambda: len(context.traffic.accepted) > accepted, "an update is accepted")
    latest = float(engine.sql(_LATEST, "chaos")[0]["s"])
    slowest = max(read.ended - read.at for read in context.reader.reads[before:])
    return Figure(
        f"{len(_FILL) * rows:,} rows gone in {took:.1f} s; the slowest event took {latest:.2f} s, "
        f"the slowest read {slowest * 1000:.0f} ms",
        [
            *at_most("the old rows were gone", took, GONE_S),
            *at_most("an event was applied", latest, LATE_S),
            *at_most("a cached price came", slowest, SLOWEST_READ_S),
            *([f"{len(context.traffic.refusals)} updates were refused"] if context.traffic.refusals else []),
        ],
    )


CASES = (
    Case(
        "retention-under-load",
        "60,000 old rows a table are deleted, and their months dropped",
        "gone ≤ 45 s, each event applied ≤ 5 s, no failed read, no refused update",
        _played,
        products=(1_000, 8),
    ),
)
