"""Merging: columns that a row leaves out keep their values of the product that exists."""

from collections.abc import Set
from decimal import Decimal
from functools import partial

from psycopg.rows import DictRow

from shared.catalogue import products
from shared.errors import InvalidInput, translated
from shared.importing import faults
from shared.importing.checking import PRODUCT
from shared.importing.columns import BITS, EVERY_COLUMN, NEW_PRODUCT, REQUIRED
from shared.postgres.pools import Conn
from shared.pricing.product import ProductInput

_CHECKED = 1_000
_NEUTRAL = {"base_price": Decimal(0), "tiers": ()}


def merge(conn: Conn) -> int:
    """Complete the staged rows by the products that they change, and lock these; returns the number of bad rows.

    The products are remembered in the table `import_before`, as they are when they are locked. Bad are rows that lack
    what a new product needs, and rows whose product would not be valid.
    """
    conn.execute(_BEFORE)
    [given] = conn.execute("SELECT bit_and(given) AS by_all FROM import_rows WHERE reason IS NULL").fetchall()
    missing = [name for name in PRODUCT if given["by_all"] is not None and not given["by_all"] & BITS[name]]
    rejected = 0
    if missing:
        rejected += conn.execute(_INCOMPLETE).rowcount
        conn.execute(_completed("products", missing))
    conn.execute(_REMEMBER)
    conn.execute("CREATE INDEX ON import_before (product_id)")
    conn.execute("ANALYZE import_before")
    if missing:
        # A product may have been written between the two statements, before it was locked.
        conn.execute(_completed("import_before", missing))
        rejected += _check(conn)
    return rejected


def sample(conn: Conn, most: int) -> tuple[list[ProductInput], int]:
    """Up to so many of the products that exist and change, at random, as the file has them; and their number."""
    [row] = conn.execute("SELECT count(*) AS n FROM import_before").fetchall()
    return [products.product_of(each) for each in conn.execute(_SAMPLE, [most])], row["n"]


def _check(conn: Conn) -> int:
    """Mark the completed rows whose product is not valid; returns their number."""
    bad: list[tuple[int, str, str]] = []
    with conn.cursor("import_completed") as cursor:
        cursor.execute(_COMPLETED)
        while rows := cursor.fetchmany(_CHECKED):
            for row in rows:
                try:
                    _check_product(row)
                except InvalidInput as error:
                    field, reason = faults.described(error, partial(_check_product, row))
                    bad.append((row["line"], field, reason))
    if bad:
        lines, fields, reasons = map(list, zip(*bad, strict=True))
        conn.execute(_BAD, {"line": lines, "field": fields, "reason": reasons})
    return len(bad)


def _check_product(row: DictRow, without: Set[str] = frozenset()) -> None:
    """Check a completed product without some columns. Only its amounts and bounds can be at fault."""
    with translated():
        products.product_of(row | {name: _NEUTRAL.get(name) for name in without})


def _completed(source: str, missing: list[str]) -> bytes:
    """The statement that fills columns which are missing in some rows from a table with products."""
    sets = ", ".join(
        f"{name} = CASE WHEN r.given & {BITS[name]} = 0 THEN o.{name} ELSE r.{name} END" for name in missing
    )
    ours, theirs = (", ".join(f"{table}.{name}" for name in missing) for table in "ro")
    return f"""
        UPDATE import_rows r SET {sets} FROM {source} o
        WHERE o.product_id = r.product_id AND r.reason IS NULL AND ({ours}) IS DISTINCT FROM ({theirs})
            AND r.given <> {EVERY_COLUMN}
    """.encode()  # noqa: S608 # only names of columns


def _of(table: str) -> str:
    return ", ".join(f"{table}.{name}" for name in PRODUCT)


_BEFORE = "CREATE TEMPORARY TABLE import_before ON COMMIT DROP AS SELECT * FROM products WITH NO DATA"

# The products that the import changes, as they were: locked, so that they are these when they are written.
_REMEMBER = f"""
INSERT INTO import_before SELECT o.* FROM products o JOIN import_rows r USING (product_id)
WHERE r.reason IS NULL AND ({_of("o")}) IS DISTINCT FROM ({_of("r")})
ORDER BY o.product_id COLLATE "C" FOR UPDATE OF o
"""  # noqa: S608 # only names of columns

_LACKS = " ".join(f"WHEN given & {BITS[name]} = 0 THEN '{name}'" for name in REQUIRED)
_INCOMPLETE = f"""
UPDATE import_rows r SET field = CASE {_LACKS} END,
    reason = format('is missing; %s is no product yet, and a new one needs {", ".join(REQUIRED)}', product_id)
        || CASE WHEN given & {BITS["name"]} > 0 AND given & {BITS["currency"]} = 0
            THEN '; --currency EUR names that of all rows' ELSE '' END
WHERE reason IS NULL AND given & {NEW_PRODUCT} <> {NEW_PRODUCT}
    AND NOT EXISTS (SELECT FROM products o WHERE o.product_id = r.product_id)
"""  # noqa: S608 # only names of columns

_SAMPLE = f"""
SELECT {_of("r")} FROM import_before JOIN import_rows r USING (product_id)
WHERE r.reason IS NULL ORDER BY random() LIMIT %s
"""  # noqa: S608 # only names of columns

_COMPLETED = f"""
SELECT r.line, {_of("r")} FROM import_rows r JOIN import_before USING (product_id)
WHERE r.reason IS NULL AND r.given <> {EVERY_COLUMN} ORDER BY r.line
""".encode()  # noqa: S608 # only names of columns

_BAD = """
UPDATE import_rows r SET field = b.field, reason = b.reason
FROM unnest(%(line)s::bigint[], %(field)s::text[], %(reason)s::text[]) AS b (line, field, reason) WHERE r.line = b.line
"""
