"""Entries of price lists, one row each, by list and revision; those of one customer have its id.

Rows of a revision that is not yet, or no longer, the one that the list's header names are in force nowhere.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct
from psycopg.rows import tuple_row

from shared.postgres import arrays
from shared.postgres.pools import AsyncPool, Conn
from shared.pricing.entries import EntryInput, EntryWrite, PriceEntry
from shared.pricing.windows import window

EVERYONE = ""

Pair = tuple[str, str]


class StoredEntry(PriceEntry, frozen=True, gc=False, kw_only=True, omit_defaults=True, rename={"from_": "from"}):
    """An entry as it is stored: its window as written, and as instants."""

    from_: str | None = None
    until: str | None = None
    zone: str = "UTC"


class EntryRow(NamedTuple):
    """A row of the table; `ordinal` keeps the entries of one product, customer and list apart."""

    product_id: str
    customer_id: str
    ordinal: int
    document: str


class Contract(Struct, frozen=True):
    """The entries of one customer for one product, of all lists and revisions."""

    product_id: str
    customer_id: str
    entries: tuple[PriceEntry, ...]


def row_of(written: EntryInput, list_id: str, revision: int, ordinal: int) -> EntryRow:
    """The row of an entry in one revision of a list."""
    opens, closes = window(written)
    entry = StoredEntry(
        list=list_id,
        revision=revision,
        amount=written.amount,
        tier_mode=written.tier_mode,
        tiers=written.tiers,
        price_decimals=written.price_decimals,
        opens=opens,
        closes=closes,
        from_=written.from_,
        until=written.until,
        zone=written.zone,
    )
    document = msgspec.json.encode(entry).decode()
    return EntryRow(written.product_id, written.customer_id or EVERYONE, ordinal, document)


def lock(conn: Conn, list_id: str) -> None:
    """Let no other transaction write entries of the list, or switch its revision, until this one ends."""
    conn.execute("SELECT pg_advisory_xact_lock(hashtext('pricing-price-list'), hashtext(%s))", [list_id])


def next_revision(conn: Conn, list_id: str, in_force: int) -> int:
    """A revision that no entry of the list has ever had."""
    row = conn.execute(_NEXT, {"list_id": list_id, "in_force": in_force}).fetchone()
    assert row  # noqa: S101 # INSERT … RETURNING returns a row
    return int(row["revision"])


def new_list(conn: Conn, list_id: str) -> int:
    """The first revision of a new list: 0, or one that no entry of a deleted list of this id has had."""
    if not conn.execute("SELECT FROM price_list_revisions WHERE list_id = %s", [list_id]).rowcount:
        return 0
    revision = next_revision(conn, list_id, 0)
    note_in_force(conn, list_id, revision)
    return revision


def note_in_force(conn: Conn, list_id: str, revision: int) -> None:
    """Record the revision that the list's header names from now on."""
    conn.execute("UPDATE price_list_revisions SET in_force = %s WHERE list_id = %s", [revision, list_id])


def in_force(conn: Conn) -> dict[str, int]:
    """The revision in force of each list that ever had another one than 0."""
    return dict(_rows(conn, "SELECT list_id, in_force FROM price_list_revisions WHERE in_force > 0", {}))


def replace(conn: Conn, list_id: str, revision: int, pairs: Iterable[Pair], rows: Iterable[EntryRow]) -> set[Pair]:
    """Replace the entries of these products and customers in the list; returns the pairs whose entries changed."""
    wanted, given = list(pairs), list(rows)
    key = {"list_id": list_id, "revision": revision}
    before, after = of_pairs(conn, list_id, revision, wanted), _by_pair(given)
    changed = {pair for pair in wanted if _documents(before, pair) != _documents(after, pair)}
    stale = {pair for pair in changed if pair in before}
    if stale:
        keys = {"product_ids": arrays.texts(pair[0] for pair in stale)}
        keys["customer_ids"] = arrays.texts(pair[1] for pair in stale)
        conn.execute(_DELETE_PAIRS, key | keys)
    add(conn, list_id, revision, [row for row in given if (row.product_id, row.customer_id) in changed])
    keys = {"product_ids": arrays.texts(pair[0] for pair in changed)}
    keys["customer_ids"] = arrays.texts(pair[1] for pair in changed)
    conn.execute(_NOTE_EDITED, key | keys)
    return changed


def of_pairs(conn: Conn, list_id: str, revision: int, pairs: Iterable[Pair]) -> dict[Pair, list[EntryRow]]:
    """The entries of these products and customers in one revision of a list; those without any are left out."""
    wanted = list(pairs)
    keys = {
        "product_ids": arrays.texts(product_id for product_id, _ in wanted),
        "customer_ids": arrays.texts(customer_id for _, customer_id in wanted),
    }
    rows = _rows(conn, _OF_PAIRS, keys | {"list_id": list_id, "revision": revision})
    return _by_pair(EntryRow(*row) for row in rows)


def add(conn: Conn, list_id: str, revision: int, rows: Sequence[EntryRow]) -> None:
    """Store rows that are not there yet."""
    if rows:
        columns = {
            "product_ids": arrays.texts(row.product_id for row in rows),
            "customer_ids": arrays.texts(row.customer_id for row in rows),
            "ordinals": arrays.numbers(row.ordinal for row in rows),
            "documents": arrays.texts(row.document for row in rows),
        }
        conn.execute(_INSERT, columns | {"list_id": list_id, "revision": revision})


def of_products(conn: Conn, product_ids: Sequence[str]) -> dict[str, tuple[PriceEntry, ...]]:
    """The entries for everyone, of all lists, by product, in a fixed order; without those of former revisions."""
    rows = _rows(conn, _OF_PRODUCTS, {"product_ids": arrays.texts(product_ids)})
    return {product_id: _entries.decode(documents) for product_id, documents in rows}


async def contracts(pool: AsyncPool, pairs: Sequence[Pair]) -> dict[Pair, Contract]:
    """The entries of (product, customer) pairs, by one statement; a pair without entries has an empty contract."""
    keys = {
        "product_ids": arrays.texts(product_id for product_id, _ in pairs),
        "customer_ids": arrays.texts(customer_id for _, customer_id in pairs),
    }
    async with pool.connection() as conn:
        rows = await (await conn.execute(CONTRACTS, keys)).fetchall()
    found = {(row["product_id"], row["customer_id"]): _entries.decode(row["documents"]) for row in rows}
    return {pair: Contract(*pair, found.get(pair, ())) for pair in pairs}


def contracts_of(conn: Conn, customer_id: str, product_ids: Sequence[str]) -> dict[str, tuple[PriceEntry, ...]]:
    """As `contracts`, of one customer; products without entries are left out."""
    keys = {"product_ids": list(product_ids), "customer_ids": [customer_id] * len(product_ids)}
    rows = conn.execute(CONTRACTS, keys)
    return {row["product_id"]: _entries.decode(row["documents"]) for row in rows}


def page(
    conn: Conn, list_id: str, revision: int, product_id: str | None, limit: int, after: tuple[str, str, int] | None
) -> list[tuple[EntryRow, EntryInput]]:
    """Entries in the order of product, customer and ordinal, behind `after`; `product_id`: of this product only."""
    first = after or ("", "", -1)
    values = {"list_id": list_id, "revision": revision, "product_id": product_id, "limit": limit}
    query = _PAGE.format("" if product_id is None else "AND product_id = %(product_id)s")
    rows = _rows(conn, query, values | {"p": first[0], "c": first[1], "o": first[2]})
    return [(row, written(row)) for row in (EntryRow(*values) for values in rows)]


def delete_products(conn: Conn, product_ids: Sequence[str]) -> int:
    """Delete all entries of products; returns their number."""
    return conn.execute("DELETE FROM price_list_entries WHERE product_id = ANY(%s)", [list(product_ids)]).rowcount


def delete_customer(conn: Conn, customer_id: str) -> list[str]:
    """Delete all entries of a customer; returns their products."""
    query = b"DELETE FROM price_list_entries WHERE customer_id = %s AND customer_id <> '' RETURNING product_id"
    return sorted({row["product_id"] for row in conn.execute(query, [customer_id])})


def unknown(conn: Conn, product_ids: Iterable[str]) -> set[str]:
    """Those of the products that do not exist."""
    ids = set(product_ids)
    return ids - currencies(conn, ids).keys()


def currencies(conn: Conn, product_ids: Iterable[str]) -> dict[str, str]:
    """The currencies of those of the products that exist."""
    return dict(_rows(conn, _KNOWN, {"product_ids": arrays.texts(product_ids)}))


def written(row: EntryRow) -> EntryInput:
    """The entry of a row as it was written."""
    entry = _stored.decode(row.document)
    return EntryInput(
        product_id=row.product_id,
        customer_id=row.customer_id or None,
        amount=entry.amount,
        tier_mode=entry.tier_mode,
        tiers=entry.tiers,
        price_decimals=entry.price_decimals,
        from_=entry.from_,
        until=entry.until,
        zone=entry.zone,
    )


def as_write(row: EntryRow) -> EntryWrite:
    """The entry of a row as a write of it."""
    return EntryWrite(**msgspec.structs.asdict(written(row)))


def _by_pair(rows: Iterable[EntryRow]) -> dict[Pair, list[EntryRow]]:
    found: dict[Pair, list[EntryRow]] = {}
    for row in rows:
        found.setdefault((row.product_id, row.customer_id), []).append(row)
    return found


def _documents(of_pairs: Mapping[Pair, Sequence[EntryRow]], pair: Pair) -> list[str]:
    return [row.document for row in of_pairs.get(pair, ())]


def _rows(conn: Conn, query: str, values: Mapping[str, object]) -> list[tuple[Any, ...]]:
    with conn.cursor(row_factory=tuple_row) as cursor:
        return cursor.execute(query.encode(), values).fetchall()


_entries = msgspec.json.Decoder(tuple[PriceEntry, ...])
_stored = msgspec.json.Decoder(StoredEntry)

_NEXT = """
INSERT INTO price_list_revisions AS r (list_id, revision) VALUES (%(list_id)s, %(in_force)s + 1)
ON CONFLICT (list_id) DO UPDATE SET revision = greatest(r.revision, %(in_force)s) + 1
RETURNING revision
"""

_PAIRS = "unnest(%(product_ids)s::text[], %(customer_ids)s::text[]) AS w (product_id, customer_id)"

_OF_PAIRS = f"""
SELECT e.product_id, e.customer_id, e.ordinal, e.document FROM {_PAIRS}
JOIN price_list_entries e ON e.product_id = w.product_id AND e.customer_id = w.customer_id
WHERE e.list_id = %(list_id)s AND e.revision = %(revision)s ORDER BY e.ordinal
"""  # noqa: S608 # only our own parts

_DELETE_PAIRS = f"""
DELETE FROM price_list_entries e USING {_PAIRS}
WHERE e.product_id = w.product_id AND e.customer_id = w.customer_id
    AND e.list_id = %(list_id)s AND e.revision = %(revision)s
"""  # noqa: S608 # only our own parts

_INSERT = """
INSERT INTO price_list_entries (list_id, revision, product_id, customer_id, ordinal, document)
SELECT %(list_id)s, %(revision)s, * FROM unnest(
    %(product_ids)s::text[], %(customer_ids)s::text[], %(ordinals)s::bigint[], %(documents)s::text[])
"""

_NOTE_EDITED = f"""
INSERT INTO edited_entries (list_id, revision, product_id, customer_id)
SELECT %(list_id)s, %(revision)s, w.* FROM {_PAIRS} WHERE EXISTS (
    SELECT FROM former_revisions f
    WHERE f.list_id = %(list_id)s AND f.replaced_by = %(revision)s AND f.import_id IS NOT NULL)
ON CONFLICT DO NOTHING
"""  # noqa: S608 # only our own parts

_OF_PRODUCTS = """
SELECT product_id, '[' || string_agg(document, ',' ORDER BY list_id, revision, ordinal) || ']'
FROM price_list_entries e WHERE product_id = ANY(%(product_ids)s::text[]) AND customer_id = '' AND NOT EXISTS (
    SELECT FROM price_list_revisions r WHERE r.list_id = e.list_id AND r.in_force > e.revision)
GROUP BY product_id
"""

CONTRACTS = f"""
SELECT e.product_id, e.customer_id,
    '[' || string_agg(e.document, ',' ORDER BY e.list_id, e.revision, e.ordinal) || ']' AS documents
FROM {_PAIRS} JOIN price_list_entries e ON e.product_id = w.product_id AND e.customer_id = w.customer_id
WHERE w.customer_id <> '' GROUP BY e.product_id, e.customer_id
"""  # noqa: S608 # only our own parts

_PAGE = """
SELECT product_id, customer_id, ordinal, document FROM price_list_entries
WHERE list_id = %(list_id)s AND revision = %(revision)s {}
    AND (product_id, customer_id, ordinal) > (%(p)s, %(c)s, %(o)s)
ORDER BY product_id, customer_id, ordinal LIMIT %(limit)s
"""

_KNOWN = "SELECT product_id, currency FROM products WHERE product_id = ANY(%(product_ids)s::text[])"
