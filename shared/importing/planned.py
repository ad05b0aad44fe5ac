"""An import that is planned first: the checked rows of a source are staged, and products stay as they are."""

from uuid import uuid4

from shared.catalogue import staged_imports
from shared.catalogue.staged_imports import FACTS, StagedImport
from shared.errors import InvalidInput
from shared.importing import merging, staging
from shared.importing.checking import PRODUCT, Check
from shared.importing.chunks import chunks
from shared.importing.columns import Columns, RefusedFile
from shared.importing.process_pool import checked
from shared.importing.shops import Shop
from shared.importing.source import Source
from shared.postgres import clock
from shared.postgres.pools import Conn
from shared.rulebook import store as rulebook


def stage(
    conn: Conn,
    source: Source,
    columns: Columns,
    author: str,
    *,
    skip_bad: bool = False,
    shop: Shop | None = None,
    key_id: int | None = None,
) -> StagedImport:
    """Stage the rows of a source that change a product, or create one, for a plan that names the import.

    Columns that the file has not leave the values that products have now, unless `columns.replaces`.

    Args:
        conn: In a transaction.
        source: The source to read.
        columns: The mapping of its columns.
        author: Who imports.
        skip_bad: Stage the good rows even if there are bad rows.
        shop: Turns the rows of a shop system's export into ours.
        key_id: The author's key; None: a command.

    Raises:
        InvalidInput: of a bad row, its column is the path.
        RefusedFile: the source cannot be read, is neither CSV nor JSON Lines, or has no rows.
    """
    policy, at, import_id = rulebook.active_policy(conn), clock.now(conn), uuid4()
    reader, found = chunks(source.lines, columns, shop)
    check = Check(reader, policy, at, str(import_id), "")
    done = staging.stage(conn, checked(check.checked, found), skip_bad=skip_bad, inserts=False)
    if not done.rows:
        raise RefusedFile("it has no rows")
    rejected = done.rejected + merging.merge(conn)
    if rejected and (rejected == done.rows or not skip_bad):
        first = staging.first_rejects(conn)[0]
        raise InvalidInput(
            f"line {first.line}: {first.reason}; {rejected:,} bad {'row' if rejected == 1 else 'rows'}",
            f"$.{first.column}",
        )
    staged = conn.execute(_STAGE, [import_id]).rowcount
    return staged_imports.add(conn, import_id, author, done.rows - rejected - staged, rejected, key_id)


def _of(table: str) -> str:
    return ", ".join(f"{table}.{name}" for name in PRODUCT)


_STAGE = f"""
INSERT INTO staged_products (import_id, product_id, facts)
SELECT %s, r.product_id, {FACTS} FROM import_rows r WHERE r.reason IS NULL AND NOT EXISTS (
    SELECT FROM products o WHERE o.product_id = r.product_id AND ({_of("o")}) IS NOT DISTINCT FROM ({_of("r")}))
"""  # noqa: S608 # only names of columns
