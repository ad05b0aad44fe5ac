"""The entries that a list had before its present ones: those of its last revision, kept for a week, for an undo."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from shared.catalogue.price_lists import EntryRow, Pair
from shared.postgres import arrays
from shared.postgres.pools import Conn

KEPT_DAYS = 7


class Former(Struct, frozen=True):
    """A revision that was in force, and the one that replaced it; of a deleted list that one has no entries."""

    list_id: str
    revision: int
    replaced_by: int
    began_at: datetime
    ended_at: datetime


def note(
    conn: Conn, list_id: str, revision: int, replaced_by: int, import_id: str | None, began_at: datetime | None
) -> None:
    """Record that a revision is in force no more; the one recorded before is kept no longer.

    Args:
        conn: In the transaction that puts the other one in force.
        list_id: The list.
        revision: The revision.
        replaced_by: The one that is in force from now on.
        import_id: The import that replaces it; None: a request, or a deletion.
        began_at: When the other one began to be loaded; None: now.
    """
    values = {"list_id": list_id, "revision": revision, "replaced_by": replaced_by}
    conn.execute(_NOTE, values | {"import_id": import_id, "began_at": began_at})


def of_import(conn: Conn, import_id: str) -> Former | None:
    """What an import replaced; None: it is kept no more."""
    return _found(conn, "import_id", import_id)


def of_list(conn: Conn, list_id: str) -> Former | None:
    """The last former revision of a list; None: none is kept."""
    return _found(conn, "list_id", list_id)


def product_ids(conn: Conn, former: Former, most: int) -> list[str]:
    """The ids of up to so many products with entries in either revision."""
    values = {"list_id": former.list_id, "revisions": [former.revision, former.replaced_by], "most": most}
    return [row["product_id"] for row in conn.execute(_PRODUCTS, values)]


def of_products(conn: Conn, list_id: str, revision: int, product_ids: Sequence[str]) -> dict[Pair, list[EntryRow]]:
    """The entries of products in a revision, by product and customer, in their order."""
    values = {"list_id": list_id, "revision": revision, "ids": arrays.texts(product_ids)}
    found: dict[Pair, list[EntryRow]] = defaultdict(list)
    for row in conn.execute(_OF_PRODUCTS, values):
        found[row["product_id"], row["customer_id"]].append(EntryRow(**row))
    return found


def edited(conn: Conn, list_id: str, revision: int, product_ids: Sequence[str]) -> set[Pair]:
    """The products and customers whose entries were written since an import put their revision in force."""
    values = {"list_id": list_id, "revision": revision, "ids": arrays.texts(product_ids)}
    return {(row["product_id"], row["customer_id"]) for row in conn.execute(_EDITED, values)}


def in_force(conn: Conn, product_ids: Sequence[str]) -> dict[str, dict[Pair, list[EntryRow]]]:
    """The entries of products that are in force, of all lists and customers, by list."""
    found: dict[str, dict[Pair, list[EntryRow]]] = defaultdict(lambda: defaultdict(list))
    for row in conn.execute(_IN_FORCE, [arrays.texts(product_ids)]):
        list_id = row.pop("list_id")
        found[list_id][row["product_id"], row["customer_id"]].append(EntryRow(**row))
    return found


def forget(conn: Conn, customer_id: str) -> None:
    """Delete the notes about a customer's entries."""
    conn.execute("DELETE FROM edited_entries WHERE customer_id = %s AND customer_id <> ''", [customer_id])


def purge(conn: Conn, limit: int, keeps_days: int = KEPT_DAYS) -> int:
    """Delete up to this many rows of revisions that are over and not kept; returns their number."""
    values = {"limit": limit, "days": keeps_days}
    return max(conn.execute(query, values).rowcount for query in (_PURGE, _PURGE_EDITED))


def _found(conn: Conn, name: str, value: str) -> Former | None:
    query = f"SELECT list_id, revision, replaced_by, began_at, ended_at FROM former_revisions WHERE {name} = %s {_KEPT}"  # noqa: S608 # our own names
    row = conn.execute(query.encode(), [value, KEPT_DAYS]).fetchone()
    return None if row is None else Former(**row)


_KEPT = "AND ended_at > now() - make_interval(days => %s)"

_NOTE = """
INSERT INTO former_revisions (list_id, revision, replaced_by, import_id, began_at)
VALUES (%(list_id)s, %(revision)s, %(replaced_by)s, %(import_id)s, coalesce(%(began_at)s, clock_timestamp()))
ON CONFLICT (list_id) DO UPDATE SET revision = excluded.revision, replaced_by = excluded.replaced_by,
    import_id = excluded.import_id, began_at = excluded.began_at, ended_at = excluded.ended_at
"""

_PRODUCTS = """
SELECT DISTINCT product_id FROM price_list_entries
WHERE list_id = %(list_id)s AND revision = ANY(%(revisions)s::bigint[]) LIMIT %(most)s
"""

_OF_PRODUCTS = """
SELECT product_id, customer_id, ordinal, document FROM price_list_entries
WHERE list_id = %(list_id)s AND revision = %(revision)s AND product_id = ANY(%(ids)s::text[])
ORDER BY product_id, customer_id, ordinal
"""

_EDITED = """
SELECT product_id, customer_id FROM edited_entries
WHERE list_id = %(list_id)s AND revision = %(revision)s AND product_id = ANY(%(ids)s::text[])
"""

_IN_FORCE = """
SELECT e.list_id, e.product_id, e.customer_id, e.ordinal, e.document
FROM price_list_entries e LEFT JOIN price_list_revisions r USING (list_id)
WHERE e.product_id = ANY(%s::text[]) AND e.revision = coalesce(r.in_force, 0)
ORDER BY e.product_id, e.customer_id, e.ordinal
"""

# Each list has two ranges of revisions that are over: below the kept one, and between it and the one in force. An
# index finds them without a look at the kept rows. Rows that a request has locked wait for the next purge.
_PURGE = """
DELETE FROM price_list_entries WHERE ctid = ANY(ARRAY(
    SELECT over.ctid FROM price_list_revisions r
    LEFT JOIN former_revisions f ON f.list_id = r.list_id AND f.ended_at > now() - make_interval(days => %(days)s)
    CROSS JOIN LATERAL (VALUES (-1::bigint, coalesce(f.revision, r.in_force)), (f.revision, r.in_force))
        AS range (above, below)
    CROSS JOIN LATERAL (
        SELECT ctid FROM price_list_entries e
        WHERE e.list_id = r.list_id AND e.revision > range.above AND e.revision < range.below
        LIMIT %(limit)s FOR UPDATE SKIP LOCKED) over
    LIMIT %(limit)s))
"""

_PURGE_EDITED = """
DELETE FROM edited_entries WHERE ctid = ANY(ARRAY(
    SELECT e.ctid FROM edited_entries e WHERE NOT EXISTS (
        SELECT FROM former_revisions f WHERE f.list_id = e.list_id AND f.replaced_by = e.revision
            AND f.ended_at > now() - make_interval(days => %(days)s))
    LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
"""
