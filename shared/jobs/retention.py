"""Jobs whose time is over."""

from shared.postgres.pools import Conn


def purge(conn: Conn, limit: int, keeps_days: int) -> int:
    """Delete up to this many ended jobs, the oldest first; returns their number. Jobs of kept plans stay."""
    return conn.execute(_PURGE, {"limit": limit, "days": keeps_days}).rowcount


_PURGE = """
DELETE FROM tasks WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM tasks t
    WHERE finished_at < now() - make_interval(days => %(days)s)
        AND NOT EXISTS (SELECT FROM plans p WHERE t.task_id = p.task_id)
        AND NOT EXISTS (SELECT FROM plans p WHERE t.task_id = p.apply_task_id)
    ORDER BY finished_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
"""
