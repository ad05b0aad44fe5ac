"""Pulls of the market-data feed by the clock: recalculations of everything, which query the feed."""

from uuid import NAMESPACE_URL, uuid5

from shared.catalogue.product_set import ProductSet
from shared.jobs import tasks
from shared.postgres.pools import Conn


def request(conn: Conn, every_s: int) -> bool:
    """Request the pull of the current interval, once over all processes; returns whether it was requested now.

    Intervals of `every_s` seconds follow one another since 1970, by PostgreSQL's clock. No pull is requested while a
    recalculation of everything waits: it will query the feed, too.
    """
    [row] = conn.execute("SELECT floor(extract(epoch FROM clock_timestamp()) / %s)::bigint AS n", [every_s]).fetchall()
    task_id = uuid5(NAMESPACE_URL, f"feed pull {every_s} {row['n']}")
    if conn.execute(_WAITS_OR_KNOWN, {"id": task_id}).rowcount:
        return False
    tasks.create(conn, "recalculation", ProductSet(), "", task_id)
    return True


_WAITS_OR_KNOWN = """
SELECT FROM tasks WHERE task_id = %(id)s
UNION ALL (SELECT FROM tasks WHERE kind = 'recalculation' AND status = 'queued' AND product_set = '{}'::jsonb LIMIT 1)
"""
