"""Versions of the rulebook, and market values, to which no kept price refers any more."""

from shared.postgres.pools import Conn

# The history is dropped by whole months.
MARGIN_DAYS = 31
# Of the oldest market values so many are looked at; those that are in force stay among them.
LOOKED_AT = 10_000


def purge(conn: Conn, limit: int, keeps_days: int) -> int:
    """Delete up to this many rows of each kind, the oldest first; returns the larger number.

    What was in force when the kept history begins stays, and so do versions of the rulebook that plans name.
    """
    values = {"limit": limit, "days": keeps_days + MARGIN_DAYS, "looked_at": LOOKED_AT}
    return max(conn.execute(query, values).rowcount for query in (_RULEBOOKS, _VALUES))


# `now()` does not change in a transaction, so an index bounds the search.
_RULEBOOKS = """
DELETE FROM rulebooks WHERE version IN (
    SELECT r.version FROM rulebooks r
    WHERE r.version < (
        SELECT version FROM rulebooks WHERE at <= now() - make_interval(days => %(days)s)
        ORDER BY at DESC, version DESC LIMIT 1)
    AND NOT EXISTS (SELECT FROM plans p WHERE r.version IN (p.rulebook_version, p.applied_version))
    ORDER BY r.version LIMIT %(limit)s)
"""

# The newest version stays: a count that goes back would be taken for a restored database.
_VALUES = """
DELETE FROM market_values WHERE seq IN (
    SELECT v.seq FROM (SELECT * FROM market_values ORDER BY seq LIMIT %(looked_at)s) v
    WHERE v.recorded_at <= now() - make_interval(days => %(days)s)
    AND v.version < (SELECT max(version) FROM market_values)
    AND EXISTS (
        SELECT FROM market_values n
        WHERE n.kind = v.kind AND n.key = v.key AND (n.since, n.seq) > (v.since, v.seq)
        AND n.since <= now() - make_interval(days => %(days)s)
        AND n.recorded_at <= now() - make_interval(days => %(days)s))
    ORDER BY v.seq LIMIT %(limit)s)
"""
