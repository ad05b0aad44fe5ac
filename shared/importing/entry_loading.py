"""Loading: checked entries become rows of a new revision of their list, and then part of the sheets."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import copy_context
from typing import NamedTuple

from psycopg.rows import tuple_row

from shared.catalogue import price_lists
from shared.importing.checking import printable
from shared.importing.columns import RefusedFile
from shared.importing.entry_checking import COLUMNS, BadRow, CheckedEntries
from shared.importing.simple_entries import GoodEntry
from shared.importing.simple_rows import copy_escape
from shared.postgres.pools import Conn
from shared.prices import list_entries
from shared.prices.list_entries import TooManyEntries
from shared.prices.new_versions import Cause, StoredSheet
from shared.pricing.entries import MOST_ENTRIES

PRODUCTS = 1_000  # whose sheets are written by one transaction
WRITERS = 2  # while PostgreSQL writes the sheets of one, the other one makes sheets
Publish = Callable[[Conn, Sequence[StoredSheet]], None]


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
    # For this transaction: the planner knows a table that grew, and sorts a million rows with few passes.
    conn.execute("ANALYZE price_list_entries")
    conn.execute("SET LOCAL work_mem = '64MB'")
    conn.execute("SET LOCAL jit = off")
    key = {"list_id": list_id, "revision": revision, "most": MOST_ENTRIES}
    entries -= sum(_fault(conn, query, key) for query in (_TWICE, _CROWDED))
    [row] = conn.execute("SELECT count(*) AS n FROM import_rows").fetchall()
    conn.commit()
    return Loaded(rows, row["n"], entries)


def put_into_sheets(
    conn: Conn, connect: Callable[[], Conn], list_id: str, revision: int, cause: Cause, publish: Publish
) -> Iterator[int]:
    """Bring the loaded entries into the sheets, each batch by a transaction; yields the number of new versions.

    Two threads write, each by a connection of its own. `publish` gets each batch after its commit, in its thread.

    Raises:
        RefusedFile: with the entries of other lists, a product has more than a sheet holds.
    """
    with ExitStack() as ends, ThreadPoolExecutor(WRITERS) as threads:
        free = [ends.enter_context(connect()) for _ in range(WRITERS)]

        def put(product_ids: Sequence[str]) -> int:
            writer = free.pop()
            try:
                return _put(writer, product_ids, cause, publish)
            finally:
                free.append(writer)

        waiting: deque[Future[int]] = deque()
        for product_ids in _products(conn, list_id, revision):
            waiting.append(threads.submit(copy_context().run, put, product_ids))
            if len(waiting) > WRITERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def drop(conn: Conn, list_id: str, revision: int) -> None:
    """Delete the rows of a revision that is not to be put in force; nothing where it is in force already."""
    conn.rollback()
    conn.execute(_DROP, {"list_id": list_id, "revision": revision})
    conn.commit()


def _put(conn: Conn, product_ids: Sequence[str], cause: Cause, publish: Publish) -> int:
    try:
        put = list_entries.put(conn, product_ids, cause)
    except TooManyEntries as error:
        conn.rollback()
        raise RefusedFile(
            f"product {error.product_ids[0]} has, with other lists, more than {MOST_ENTRIES} entries"
        ) from None
    conn.commit()
    publish(conn, put.sheets)
    return len(put.sheets)


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


def _fault(conn: Conn, query: str, key: Mapping[str, object]) -> int:
    """Make bad rows of the stored entries that a query finds; returns their number."""
    found = conn.execute(query.encode(), key).rowcount
    if found:
        conn.execute("ANALYZE import_faults")
        conn.execute(_MOVE, key)
    conn.execute("DROP TABLE import_faults")
    return found


def _products(conn: Conn, list_id: str, revision: int) -> Iterator[list[str]]:
    """The products with loaded entries for everyone, in the order of their ids."""
    last = ""
    while True:
        values = {"list_id": list_id, "revision": revision, "after": last, "limit": PRODUCTS}
        with conn.cursor(row_factory=tuple_row) as cursor:
            found = [row[0] for row in cursor.execute(_NEXT_PRODUCTS, values)]
        conn.commit()
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

# By one pass over the list; the rows found are few. Their raw text is not kept: the stored entry stands for it.
_TWICE = """
CREATE TEMPORARY TABLE import_faults ON COMMIT DROP AS
SELECT product_id, customer_id, ordinal,
    format('%%s has an entry with the same window in line %%s', product_id, first) AS reason
FROM (
    SELECT product_id, customer_id, ordinal, first_value(ordinal) OVER (
        PARTITION BY product_id, customer_id, document::json->>'opens', document::json->>'closes' ORDER BY ordinal
    ) AS first
    FROM (
        SELECT *, count(*) OVER (PARTITION BY product_id, customer_id) AS several FROM price_list_entries
        WHERE list_id = %(list_id)s AND revision = %(revision)s) AS each
    WHERE several > 1) AS numbered
WHERE ordinal > first
"""

_CROWDED = """
CREATE TEMPORARY TABLE import_faults ON COMMIT DROP AS
SELECT product_id, customer_id, ordinal,
    format('%%s has more than %%s entries without a customer', product_id, %(most)s::bigint) AS reason
FROM (
    SELECT product_id, customer_id, ordinal, row_number() OVER (PARTITION BY product_id ORDER BY ordinal) AS n
    FROM price_list_entries WHERE list_id = %(list_id)s AND revision = %(revision)s AND customer_id = '') AS numbered
WHERE n > %(most)s
"""

_MOVE = """
WITH gone AS (
    DELETE FROM price_list_entries e USING import_faults f
    WHERE e.product_id = f.product_id AND e.customer_id = f.customer_id AND e.list_id = %(list_id)s
        AND e.revision = %(revision)s AND e.ordinal = f.ordinal
    RETURNING e.ordinal, e.product_id, e.document, f.reason
)
INSERT INTO import_rows SELECT ordinal, product_id || ' ' || document, 'product_id', reason FROM gone
"""

_NEXT_PRODUCTS = """
SELECT DISTINCT product_id FROM price_list_entries
WHERE list_id = %(list_id)s AND revision = %(revision)s AND customer_id = '' AND product_id > %(after)s
ORDER BY product_id LIMIT %(limit)s
"""
