"""Staging: every row of a file in a temporary table, good ones as products, bad ones with their reason."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from shared.catalogue.database import Conn
from shared.catalogue.importing.checking import COLUMNS, PRODUCT
from shared.catalogue.importing.columns import RefusedFile

SHOWN_REJECTS = 20


class Reject(NamedTuple):
    """A row that cannot be imported: the line where it starts, the column and what is wrong."""

    line: int
    column: str
    reason: str


class Staged(NamedTuple):
    """How many rows there are, and how many of them are bad."""

    rows: int
    rejected: int


def stage(conn: Conn, checked: Iterable[bytes]) -> Staged:
    """Copy checked rows into a table that lives as long as the transaction; a product's second row becomes a reject.

    Rows are sent as they come: nothing grows with the file but the table.
    """
    conn.execute(_TABLE)
    # For this transaction: sorting and grouping a million rows shall not go through the disk more than once.
    conn.execute("SET LOCAL work_mem = '64MB'")
    conn.execute("SET LOCAL jit = off")
    with conn.cursor().copy(_COPY) as copy:
        for lines in checked:
            copy.write(lines)
    conn.execute("ANALYZE import_rows")
    conn.execute(_TWICE)
    found = conn.execute("SELECT count(*) AS rows, count(reason) AS rejected FROM import_rows").fetchone()
    assert found  # noqa: S101 # an aggregate answers a row
    return Staged(found["rows"], found["rejected"])


def first_rejects(conn: Conn) -> list[Reject]:
    """The first bad rows, as many as a screen takes."""
    query = "SELECT line, field, reason FROM import_rows WHERE reason IS NOT NULL ORDER BY line LIMIT %s"
    return [Reject(*row.values()) for row in conn.execute(query, [SHOWN_REJECTS])]


def write_rejects(conn: Conn, path: Path) -> None:
    """Write all bad rows as CSV: line, column, reason and the row as it stands in the file.

    Raises:
        RefusedFile: the file cannot be written.
    """
    try:
        with path.open("wb") as file, conn.cursor().copy(_REJECTS) as copy:
            for data in copy:
                file.write(data)
    except OSError as error:
        raise RefusedFile(f"the rejects cannot be written to {path}: {error.strerror}") from None


_TABLE = f"""
CREATE TEMPORARY TABLE import_rows ON COMMIT DROP AS
SELECT 0::bigint AS line, ''::text AS raw, ''::text AS field, ''::text AS reason, {", ".join(PRODUCT)},
    published_price, sheet
FROM products JOIN prices USING (product_id) WITH NO DATA
"""  # noqa: S608 # only names of columns

_COPY = f"COPY import_rows ({', '.join(COLUMNS)}) FROM STDIN"

_TWICE = """
WITH twice AS (
    SELECT product_id, min(line) AS first FROM import_rows WHERE reason IS NULL
    GROUP BY product_id HAVING count(*) > 1
)
UPDATE import_rows r SET field = 'product_id', reason = format('%s stands in line %s too', t.product_id, t.first)
FROM twice t WHERE r.product_id = t.product_id AND r.reason IS NULL AND r.line > t.first
"""

_REJECTS = """
COPY (SELECT line, field AS column, reason, raw FROM import_rows WHERE reason IS NOT NULL ORDER BY line)
TO STDOUT (FORMAT csv, HEADER)
"""
