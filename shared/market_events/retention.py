"""Market events whose time is over. With an event goes its identity: sent again, it would be applied again."""

from shared.postgres.pools import Conn


def purge(conn: Conn, limit: int, keeps_days: int) -> int:
    """Delete up to this many ended events, the oldest first; returns their number."""
    return conn.execute(_PURGE, {"limit": limit, "days": keeps_days}).rowcount


# `now()` does not change in a transaction, so an index bounds the search. Rows that another transaction holds, for a
# replay or another purge, are left to the next turn.
_PURGE = """
DELETE FROM market_events WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM market_events
    WHERE recorded_at < now() - make_interval(days => %(days)s) AND status <> 'received'
    ORDER BY recorded_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
"""
