"""The senders of signals, each with the time of its newest one: a sender that falls silent is noticed.

A sender is the `source` of an event, or `feed` for the market-data feed.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from shared.postgres import arrays
from shared.postgres.pools import Conn

# A newer signal of a sender is noted where it is so much newer, so that workers do not wait for one another.
EVERY_S = 10
FORGOTTEN_DAYS = 30
# A sender whose signals all lie within an hour was used once, by hand or by a demo: it is no feed.
ONCE_H = 1
ONCE_FORGOTTEN_DAYS = 3
MOST_SHOWN = 100


class SenderAge(NamedTuple):
    """The age of a sender's newest signal of a kind, in seconds."""

    kind: str
    source: str
    age_s: float


def note(conn: Conn, signals: Iterable[tuple[str, str, datetime]]) -> None:
    """Note the newest signal of each sender, within 10 s, in the transaction that applies them.

    Args:
        conn: In that transaction.
        signals: The kind, the sender and the time of each.
    """
    newest: dict[tuple[str, str], datetime] = {}
    for kind, source, at in signals:
        newest[kind, source] = max(newest.get((kind, source), at), at)
    columns = {
        "kind": arrays.texts(kind for kind, _ in newest),
        "source": arrays.texts(source for _, source in newest),
        "newest": arrays.instants(newest.values()),
    }
    conn.execute(_NOTE, columns | {"every": EVERY_S})


def purge(conn: Conn, limit: int) -> int:
    """Forget up to this many senders without a signal for 30 days, or for 3 where used once; returns their number."""
    days = {"once_h": ONCE_H, "once_days": ONCE_FORGOTTEN_DAYS, "days": FORGOTTEN_DAYS}
    return conn.execute(_PURGE, days | {"limit": limit}).rowcount


def ages(conn: Conn) -> list[SenderAge]:
    """The age of the newest signal of up to 100 senders, those with the latest signals."""
    return [SenderAge(**row) for row in conn.execute(_AGES, [MOST_SHOWN])]


# A sender whose row another transaction has locked is noted by that one.
_NOTE = """
WITH seen AS MATERIALIZED (
    SELECT * FROM unnest(%(kind)s::text[], %(source)s::text[], %(newest)s::timestamptz[]) AS s (kind, source, newest)
), late AS MATERIALIZED (
    SELECT kind, source, seen.newest FROM signal_sources f JOIN seen USING (kind, source)
    WHERE f.newest_at < seen.newest - make_interval(secs => %(every)s) FOR UPDATE OF f SKIP LOCKED
), renewed AS (
    UPDATE signal_sources f SET newest_at = late.newest FROM late WHERE (f.kind, f.source) = (late.kind, late.source)
)
INSERT INTO signal_sources (kind, source, newest_at, first_at)
SELECT kind, source, newest, newest FROM seen
WHERE NOT EXISTS (SELECT FROM signal_sources f WHERE (f.kind, f.source) = (seen.kind, seen.source))
ORDER BY kind, source ON CONFLICT DO NOTHING
"""

_AGES = """
SELECT kind, source, greatest(extract(epoch FROM clock_timestamp() - newest_at), 0)::float8 AS age_s
FROM signal_sources ORDER BY newest_at DESC LIMIT %s
"""

_PURGE = """
DELETE FROM signal_sources WHERE (kind, source) IN (
    SELECT kind, source FROM signal_sources
    WHERE newest_at < now() - make_interval(days =>
        CASE WHEN newest_at < first_at + make_interval(hours => %(once_h)s) THEN %(once_days)s ELSE %(days)s END)
    LIMIT %(limit)s)
"""
