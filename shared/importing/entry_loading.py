"""Loading: checked entries become rows of a new revision of their list, and then part of the sheets."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from psycopg.rows import tuple_row

from shared.catalogue import price_lists
from shared.importing.checking import printable
from shared.importing.columns import RefusedFile
from shared.importing.entry_checking import COLUMNS, BadRow, CheckedEntries, GoodEntry
from shared.importing.simple_rows import copy_escape
from shared.postgres.pools import Conn
from shared.prices import list_entries
from shared.prices.list_entries import TooManyEntries
from shared.prices.new_versions import Cause, StoredSheet
from shared.pricing.entries import MOST_ENTRIES

PRODUCTS = 1_000  # whose sheets are written by one transaction


class Loaded(NamedTuple):
    """The numbers of rows in the file, of bad ones, and of entries that are stored."""

    rows: int
    rejected: int
    entries: int


def stage(conn: Conn, list_id: str, revision: int, checked: Iterable[CheckedEntries]) -> Loaded:
    """Store the entries chunk by chunk, each by a transaction; bad rows wait in a temporary table."""
    conn.execute(_BAD_ROWS)
    rows = entries = 0
    for chunk in checked:
        rows += chunk.rows
        good, bad = _known(conn, chunk)
        entries += len(good)
        _reject(conn, bad)
        lines = "".join([f"{entry.copied}\n" for entry in good]).encode()
        _copy(conn, "price_list_entries", COLUMNS, lines)
        conn.commit()
    key = {"list_id": list_id, "revision": revision}
    entries -= conn.execute(_TWICE, key).rowcount
    entries -= conn.execute(_CROWDED, key | {"most": MOST_ENTRIES}).rowcount
    [row] = conn.execute("SELECT count(*) AS n FROM import_rows").fetchall()
    conn.commit()
    return Loaded(rows, row["n"], entries)


def put_into_sheets(
    conn: Conn, list_id: str, revision: int, cause: Cause, publish: Callable[[Conn, Sequence[StoredSheet]], None]
) -> Iterator[int]:
    """Bring the loaded entries into the sheets, each batch by a transaction; yields the number of new versions.

    `publish` gets each batch after its commit.

    Raises:
        RefusedFile: with the entries of other lists, a product has more than a sheet holds.
    """
    for product_ids in _products(conn, list_id, revision):
        try:
            put = list_entries.put(conn, product_ids, cause)
        except TooManyEntries as error:
            conn.rollback()
            raise RefusedFile(
                f"product {error.product_ids[0]} has, with other lists, more than {MOST_ENTRIES} entries"
            ) from None
        conn.commit()
        publish(conn, put.sheets)
        yield len(put.sheets)


def drop(conn: Conn, list_id: str, revision: int) -> None:
    """Delete the rows of a revision that is not to be put in force; nothing where it is in force already."""
    conn.rollback()
    conn.execute(_DROP, {"list_id": list_id, "revision": revision})
    conn.commit()


def _known(conn: Conn, chunk: CheckedEntries) -> tuple[list[GoodEntry], list[BadRow]]:
    """The entries of products that exist, in the currency that their rows name; and all bad rows."""
    found = price_lists.currencies(conn, {entry.product_id for entry in chunk.good})
    good: list[GoodEntry] = []
    bad = chunk.bad
    for entry in chunk.good:
        currency = found.get(entry.product_id)
        if currency is None:
            bad.append(BadRow(entry.line, entry.raw, "product_id", f"no product {entry.product_id}"))
        elif entry.currency not in ("", currency):
            reason = f"the product is in {currency}, and the list has no currency of its own"
            bad.append(BadRow(entry.line, entry.raw, "currency", reason))
        else:
            good.append(entry)
    return good, bad


def _products(conn: Conn, list_id: str, revision: int) -> Iterator[list[str]]:
    """The products with loaded entries for everyone, in the order of their ids."""
    last = ""
    while True:
        values = {"list_id": list_id, "revision": revision, "after": last, "limit": PRODUCTS}
        with conn.cursor(row_factory=tuple_row) as cursor:
            found = [row[0] for row in cursor.execute(_NEXT_PRODUCTS, values)]
        if not found:
            return
        yield found
        last = found[-1]


def _reject(conn: Conn, bad: Sequence[BadRow]) -> None:
    lines = ["\t".join([str(row.line), *(copy_escape(printable(text)) for text in row[1:])]) + "\n" for row in bad]
    _copy(conn, "import_rows", ("line", "raw", "field", "reason"), "".join(lines).encode())


def _copy(conn: Conn, table: str, columns: Sequence[str], lines: bytes) -> None:
    if lines:
        with conn.cursor().copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN".encode()) as copy:
            copy.write(lines)


_BAD_ROWS = """
CREATE TEMPORARY TABLE IF NOT EXISTS import_rows (line bigint, raw text, field text, reason text);
TRUNCATE import_rows
"""

_DROP = """
DELETE FROM price_list_entries WHERE list_id = %(list_id)s AND revision = %(revision)s AND NOT EXISTS (
    SELECT FROM price_list_revisions WHERE list_id = %(list_id)s AND in_force = %(revision)s)
"""

# The raw text of these rows is not kept: the entry as it would have been stored stands for it.
_TWICE = """
WITH several AS (
    SELECT product_id, customer_id FROM price_list_entries WHERE list_id = %(list_id)s AND revision = %(revision)s
    GROUP BY product_id, customer_id HAVING count(*) > 1
), numbered AS (
    SELECT e.product_id, e.customer_id, e.ordinal, e.document, first_value(e.ordinal) OVER same AS first
    FROM several s JOIN price_list_entries e USING (product_id, customer_id)
    WHERE e.list_id = %(list_id)s AND e.revision = %(revision)s
    WINDOW same AS (
        PARTITION BY e.product_id, e.customer_id, e.document::jsonb->>'opens', e.document::jsonb->>'closes'
        ORDER BY e.ordinal)
), gone AS (
    DELETE FROM price_list_entries e USING numbered n
    WHERE e.product_id = n.product_id AND e.customer_id = n.customer_id AND e.list_id = %(list_id)s
        AND e.revision = %(revision)s AND e.ordinal = n.ordinal AND n.ordinal > n.first
    RETURNING n.ordinal, n.product_id, n.document, n.first
)
INSERT INTO import_rows
SELECT ordinal, product_id || ' ' || document, 'product_id',
    format('%%s has an entry with the same window in line %%s', product_id, first) FROM gone
"""

_CROWDED = """
WITH crowded AS (
    SELECT product_id FROM price_list_entries
    WHERE list_id = %(list_id)s AND revision = %(revision)s AND customer_id = ''
    GROUP BY product_id HAVING count(*) > %(most)s
), numbered AS (
    SELECT e.product_id, e.ordinal, e.document, row_number() OVER (PARTITION BY e.product_id ORDER BY e.ordinal) AS n
    FROM crowded c JOIN price_list_entries e USING (product_id)
    WHERE e.list_id = %(list_id)s AND e.revision = %(revision)s AND e.customer_id = ''
), gone AS (
    DELETE FROM price_list_entries e USING numbered n
    WHERE e.product_id = n.product_id AND e.customer_id = '' AND e.list_id = %(list_id)s
        AND e.revision = %(revision)s AND e.ordinal = n.ordinal AND n.n > %(most)s
    RETURNING n.ordinal, n.product_id, n.document
)
INSERT INTO import_rows
SELECT ordinal, product_id || ' ' || document, 'product_id', format(
    '%%s has more than %%s entries without a customer', product_id, %(most)s::bigint) FROM gone
"""

_NEXT_PRODUCTS = """
SELECT DISTINCT product_id FROM price_list_entries
WHERE list_id = %(list_id)s AND revision = %(revision)s AND customer_id = '' AND product_id > %(after)s
ORDER BY product_id LIMIT %(limit)s
"""
