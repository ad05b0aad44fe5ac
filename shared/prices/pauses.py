"""Pauses of automation by a person: of products, of a category, or of everything."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from shared.postgres import arrays
from shared.postgres.pools import Conn
from shared.pricing.state import Pause


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """What a pause reaches: these products, a category, or, with neither, everything."""

    product_ids: tuple[str, ...] = ()
    category: str | None = None


class Pauses:
    """The pauses in force that may reach some products."""

    def __init__(self, rows: Sequence[tuple[str | None, str | None, Pause]]) -> None:
        self._rows = rows

    def of(self, product_id: str, category: str) -> tuple[Pause, ...]:
        """Those that reach a product."""
        if not self._rows:
            return ()
        return tuple(pause for of, among, pause in self._rows if of in (None, product_id) and among in (None, category))


def read(conn: Conn, product_ids: Sequence[str], at: datetime) -> Pauses:
    """The pauses that are in force for some of these products."""
    rows = conn.execute(_READ, {"at": at, "ids": arrays.texts(product_ids)}).fetchall()
    return Pauses(
        [(row["product_id"], row["category"], Pause(reason=row["reason"], until=row["until"])) for row in rows]
    )


def pause(conn: Conn, reach: Reach, reason: str, author: str, until: datetime | None) -> None:
    """Pause automation; a pause of the same reach is replaced. Those that are over are deleted."""
    conn.execute("DELETE FROM pauses WHERE until <= clock_timestamp()")
    ids: list[str | None] = [*reach.product_ids] or [None]
    values = {"ids": ids, "category": reach.category, "reason": reason, "author": author, "until": until}
    conn.execute(_PAUSE, values)


def resume(conn: Conn, reach: Reach) -> int:
    """End the pauses of this reach; of everything: all pauses. Returns their number."""
    if reach.product_ids:
        return conn.execute("DELETE FROM pauses WHERE product_id = ANY(%s)", [list(reach.product_ids)]).rowcount
    if reach.category is not None:
        return conn.execute("DELETE FROM pauses WHERE category = %s", [reach.category]).rowcount
    return conn.execute("DELETE FROM pauses").rowcount


_READ = """
SELECT product_id, category, reason, until FROM pauses
WHERE (until IS NULL OR until > %(at)s) AND (product_id IS NULL OR product_id = ANY(%(ids)s::text[]))
"""

_PAUSE = """
INSERT INTO pauses (product_id, category, reason, author, until)
SELECT DISTINCT id, %(category)s::text, %(reason)s, %(author)s, %(until)s::timestamptz
FROM unnest(%(ids)s::text[]) AS t (id)
ON CONFLICT (coalesce(product_id, ''), coalesce(category, '')) DO UPDATE SET reason = excluded.reason,
    author = excluded.author, since = excluded.since, until = excluded.until
"""
