"""Staging: checked rows are sent to PostgreSQL chunk by chunk, most of them straight into their final tables.

New products are stored with their prices. A temporary table holds the other rows: bad ones, for the rejects file;
existing products, to be locked in the order of their ids; second rows of a product.
"""

from collections.abc import Iterable, Sequence
from itertools import compress
from pathlib import Path
from typing import NamedTuple

from psycopg import sql
from psycopg.errors import UniqueViolation

from shared.changes import log
from shared.importing import outputs
from shared.importing.checking import HISTORY, PRICE, PRODUCT, STAGED, Checked
from shared.importing.columns import NEW_PRODUCT, RefusedFile
from shared.importing.outputs import ForeignFile
from shared.importing.spreadsheets import FORMULA
from shared.postgres.pools import Conn

SHOWN_REJECTS = 20
# So many new products are worth a count.
COUNTED = 10_000
REJECTS_HEADER = b"line,column,reason,raw\n"


class Reject(NamedTuple):
    """A row that cannot be imported: the line where it starts, the column and the reason."""

    line: int
    column: str
    reason: str


class Staged(NamedTuple):
    """The numbers of rows, of bad rows, and of rows that are stored as new products."""

    rows: int
    rejected: int
    created: int


def stage(conn: Conn, checked: Iterable[Checked], *, skip_bad: bool, inserts: bool = True) -> Staged:
    """Send checked rows as they come, so that only tables grow with the file.

    After a bad row that refuses the file, the rest is only staged, to find further bad rows; without `inserts`
    everything is.
    """
    conn.execute(_TABLES)
    # For this transaction: with this memory, sorting and grouping a million rows goes through the disk once at most.
    conn.execute("SET LOCAL work_mem = '64MB'")
    conn.execute("SET LOCAL jit = off")
    created, is_refused = 0, not inserts
    for chunk in checked:
        is_refused = is_refused or (chunk.rejected > 0 and not skip_bad)
        _copy(conn, "import_rows", STAGED, chunk.staged)
        new = [False] * len(chunk.lines) if is_refused else _insert(conn, chunk, _new(conn, chunk))
        created += sum(new)
        _copy(conn, "import_rows", STAGED, _waiting(chunk, new))
    # Autovacuum counts no rows in a table that another transaction fills. The planner then expects no products, and
    # reads all rows of another table for each of them: here, and in every query until the next count.
    if created >= COUNTED:
        conn.execute("ANALYZE (SKIP_LOCKED) products, prices")
    conn.execute("CREATE INDEX ON import_rows (product_id)")
    conn.execute("ANALYZE import_rows")
    conn.execute(_TWICE)
    found = conn.execute("SELECT count(*) AS rows, count(reason) AS rejected FROM import_rows").fetchone()
    assert found  # noqa: S101 # an aggregate returns a row
    return Staged(found["rows"] + created, found["rejected"], created)


def _new(conn: Conn, chunk: Checked) -> list[bool]:
    """For each product of the chunk, whether it is new and its row has all that a new product needs.

    New is what is neither stored before nor in an earlier row.
    """
    there = {row["product_id"] for row in conn.execute(_THERE, {"ids": _joined(chunk.product_ids)})}
    rows = zip(chunk.product_ids, chunk.given, strict=True)
    return [product_id not in there and given & NEW_PRODUCT == NEW_PRODUCT for product_id, given in rows]


def _insert(conn: Conn, chunk: Checked, new: list[bool]) -> list[bool]:
    """Store the new products with their prices; returns which were stored: none where another writer stored one."""
    try:
        with conn.transaction():
            _copy(conn, "products", PRODUCT, _chosen(chunk.products, new))
            _copy(conn, "prices", PRICE, _chosen(chunk.prices, new))
            _copy(conn, "price_history", HISTORY, _chosen(chunk.history, new))
            log.append_prices(conn, _chosen(chunk.logged, new))
            conn.execute(_STORED, [_joined(compress(chunk.product_ids, new)), _joined(compress(chunk.lines, new))])
    except UniqueViolation:
        return [False] * len(new)
    return new


def _waiting(chunk: Checked, new: list[bool]) -> bytes:
    """The lines of the other rows, for the staging table."""
    if all(new):
        return b""
    rest = [not one for one in new]
    parts = [_chosen(field, rest).splitlines() for field in (chunk.source_rows, chunk.products, chunk.prices)]
    price = [line.split(b"\t", 2)[:2] for line in parts[2]]
    given = [b"%d" % one for one in compress(chunk.given, rest)]
    return b"".join(
        b"\t".join([source_row, rb"\N", rb"\N", product, *first, columns]) + b"\n"
        for source_row, product, first, columns in zip(*parts[:2], price, given, strict=True)
    )


def _chosen(lines: bytes, which: list[bool]) -> bytes:
    return lines if all(which) else b"".join(compress(lines.splitlines(keepends=True), which))


def _joined(values: Iterable[object]) -> str:
    return "\n".join(map(str, values))


def _copy(conn: Conn, table: str, columns: Sequence[str], lines: bytes) -> None:
    if lines:
        with conn.cursor().copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN".encode()) as copy:
            copy.write(lines)


def first_rejects(conn: Conn) -> list[Reject]:
    """The first 20 bad rows, for a screen."""
    query = "SELECT line, field, reason FROM import_rows WHERE reason IS NOT NULL ORDER BY line LIMIT %s"
    return [Reject(*row.values()) for row in conn.execute(query, [SHOWN_REJECTS])]


def write_rejects(conn: Conn, path: Path, max_bytes: int) -> int:
    """Write the bad rows as CSV: line, column, reason and the row as in the file; returns the number written.

    Rows beyond `max_bytes` are left out. A row that starts like a formula gets an apostrophe, for people who read the
    file in a spreadsheet program.

    Raises:
        RefusedFile: the file cannot be written, or must not be replaced.
    """
    cursor = conn.cursor()
    rejects = _REJECTS.format(formula=sql.Literal(FORMULA), max_bytes=sql.Literal(max_bytes))
    try:
        with outputs.rejected(path, REJECTS_HEADER) as file, cursor.copy(rejects) as copy:
            for data in copy:
                file.write(data)
    except ForeignFile as error:
        raise RefusedFile(f"the rejects are not written over {path}: {error}; --rejects names another file") from None
    except OSError as error:
        raise RefusedFile(f"the rejects cannot be written to {path}: {error.strerror}") from None
    return cursor.rowcount


_TABLES = f"""
CREATE TEMPORARY TABLE import_rows ON COMMIT DROP AS
SELECT 0::bigint AS line, ''::text AS raw, ''::text AS field, ''::text AS reason, {", ".join(PRODUCT)},
    published_price, sheet, 0::bigint AS given
FROM products JOIN prices USING (product_id) WITH NO DATA;
CREATE TEMPORARY TABLE import_new (product_ids text[], lines bigint[]) ON COMMIT DROP;
ALTER TABLE import_new ALTER product_ids SET STORAGE EXTERNAL, ALTER lines SET STORAGE EXTERNAL;
"""  # noqa: S608 # only names of columns

# Ids have no line breaks; a text is sent in a hundredth of the time of an array. A product that was deleted goes on
# with its versions, and thus has no first price as the file's other products.
_THERE = """
SELECT product_id FROM products WHERE product_id = ANY(string_to_array(%(ids)s, E'\\n'))
UNION ALL SELECT product_id FROM deleted_prices WHERE product_id = ANY(string_to_array(%(ids)s, E'\\n'))
"""

_STORED = r"INSERT INTO import_new VALUES (string_to_array(%s, E'\n'), string_to_array(%s, E'\n')::bigint[])"

_TWICE = """
WITH good AS (
    SELECT product_id, line FROM import_rows WHERE reason IS NULL
), stored AS (
    SELECT unnest(product_ids) AS product_id, unnest(lines) AS line FROM import_new WHERE EXISTS (SELECT FROM good)
), twice AS (
    SELECT product_id, min(line) AS first FROM (SELECT * FROM good UNION ALL SELECT * FROM stored) AS seen
    GROUP BY product_id HAVING count(*) > 1
)
UPDATE import_rows r SET field = 'product_id', reason = format('%s is also in line %s', t.product_id, t.first)
FROM twice t WHERE r.product_id = t.product_id AND r.reason IS NULL AND r.line > t.first
"""

_REJECTS = sql.SQL("""
COPY (
    SELECT line, field AS column, reason, CASE WHEN raw ~ {formula} THEN '''' || raw ELSE raw END AS raw
    FROM (
        SELECT *, sum(octet_length(replace(raw, '"', '""')) + octet_length(reason) + 100) OVER (ORDER BY line) AS bytes
        FROM import_rows WHERE reason IS NOT NULL) AS bad
    WHERE bytes <= {max_bytes} ORDER BY line
) TO STDOUT (FORMAT csv, HEADER)
""")
