"""Pauses of automation by a person: of products, of a category, or of everything."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from shared.postgres import arrays
from shared.postgres.pools import LIST_TIMEOUT_S, Conn, bound_statement
from shared.pricing.state import Pause
from shared.wire.fields import AT

# The beginning and the number of the last pause of a page.
Position = tuple[datetime, int]
_FIRST: Position = (datetime.fromisoformat("0001-01-01T00:00:00+00:00"), 0)


class PauseView(msgspec.Struct, frozen=True):
    """A pause of automation in force: of a product, of a category, or, with neither, of everything."""

    pause_id: Annotated[int, Meta(description="The pause's number.", examples=[7])]
    product_id: Annotated[str | None, Meta(description="The product.", examples=["P-100"])]
    category: Annotated[str | None, Meta(description="The category.", examples=[None])]
    reason: Annotated[str, Meta(description="The reason.", examples=["stocktaking"])]
    author: Annotated[str, Meta(description="Who paused it.", examples=["shop"])]
    since: Annotated[datetime, Meta(description="Its beginning.", examples=[AT])]
    until: Annotated[datetime | None, Meta(description="Its end; null: until it is resumed.", examples=[AT])]


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


def page(conn: Conn, limit: int, after: Position | None) -> list[PauseView]:
    """The pauses in force, the earliest first, behind `after`."""
    since, number = after or _FIRST
    bound_statement(conn, LIST_TIMEOUT_S)
    return [PauseView(**row) for row in conn.execute(_PAGE, {"since": since, "number": number, "limit": limit})]


def pause(conn: Conn, reach: Reach, reason: str, author: str, until: datetime | None) -> None:
    """Pause automation; a pause of the same reach is replaced. Those that are over are deleted."""
    conn.execute("DELETE FROM pauses WHERE until <= clock_timestamp()")
    ids: list[str | None] = [*reach.product_ids] or [None]
    values = {"ids": ids, "category": reach.category, "reason": reason, "author": author, "until": until}
    conn.execute(_PAUSE, values)


def add(conn: Conn, product_ids: Sequence[str], reason: str, author: str) -> None:
    """Pause automation for products without an end; those that are paused already stay as they are."""
    if product_ids:
        conn.execute(_ADD, {"ids": arrays.texts(product_ids), "reason": reason, "author": author})


def resume(conn: Conn, reach: Reach) -> int:
    """End the pauses of this reach; of everything: all pauses. Returns their number."""
    if reach.product_ids:
        return conn.execute("DELETE FROM pauses WHERE product_id = ANY(%s)", [list(reach.product_ids)]).rowcount
    if reach.category is not None:
        return conn.execute("DELETE FROM pauses WHERE category = %s", [reach.category]).rowcount
    return conn.execute("DELETE FROM pauses").rowcount


_READ = """
SELECT product_id, category, reason, until FROM pauses
WHERE (until IS NULL OR until > %(at)s) AND coalesce(product_id, '') = ANY(%(ids)s::text[] || ''::text)
"""

_PAGE = f"""
SELECT {", ".join(PauseView.__struct_fields__)} FROM pauses
WHERE (until IS NULL OR until > clock_timestamp()) AND (since, pause_id) > (%(since)s, %(number)s)
ORDER BY since, pause_id LIMIT %(limit)s
"""  # noqa: S608 # only names of columns

_PAUSE = """
INSERT INTO pauses (product_id, category, reason, author, until)
SELECT DISTINCT id, %(category)s::text, %(reason)s, %(author)s, %(until)s::timestamptz
FROM unnest(%(ids)s::text[]) AS t (id)
ON CONFLICT (coalesce(product_id, ''), coalesce(category, '')) DO UPDATE SET reason = excluded.reason,
    author = excluded.author, since = excluded.since, until = excluded.until
"""

_ADD = """
INSERT INTO pauses (product_id, reason, author)
SELECT DISTINCT id, %(reason)s, %(author)s FROM unnest(%(ids)s::text[]) AS t (id)
ON CONFLICT (coalesce(product_id, ''), coalesce(category, '')) DO UPDATE SET reason = excluded.reason,
    author = excluded.author, since = excluded.since, until = excluded.until
WHERE pauses.until <= clock_timestamp()
"""
