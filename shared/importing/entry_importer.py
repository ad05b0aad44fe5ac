"""The importer of price-list entries: a file becomes a new revision of a list, put in force by one write.

Rows and sheets are loaded in batches beside those in force. A killed import leaves the old prices.
"""

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import msgspec

from shared.catalogue import listed_products, price_lists
from shared.catalogue.product_set import ProductSet
from shared.errors import PlanFirst, Superseded
from shared.importing import entry_loading, staging
from shared.importing.chunks import chunks
from shared.importing.columns import Columns, RefusedFile, parse_map
from shared.importing.entry_checking import NAMES, REQUIRED, TIER_COLUMNS, EntryCheck, regrouped
from shared.importing.entry_loading import Publish
from shared.importing.importer import ALL, MAX_REJECTS_BYTES, NOTHING, SOME
from shared.importing.process_pool import checked
from shared.importing.source import Source
from shared.importing.staging import Reject
from shared.jobs import tasks
from shared.plans import trial
from shared.plans.changes import Change, EntriesChange
from shared.plans.trial import Transaction
from shared.postgres import clock
from shared.postgres.pools import Conn
from shared.prices.new_versions import Cause
from shared.pricing.entries import EntryWrite
from shared.rulebook import reductions, revisions
from shared.rulebook.store import By


class EntriesImported(msgspec.Struct, frozen=True):
    """The result of an import.

    Attributes:
        products: The products whose sheets have a new version.
        rejects: The first bad rows.
        kept: The number of bad rows in the rejects file.
        is_refused: Whether nothing was imported because of bad rows.
        is_dry: Whether it was a dry run.
        import_id: Its id, in the price history and for an undo; empty: nothing is in force.
    """

    rows: int
    entries: int
    products: int
    rejected: int
    rejects: list[Reject]
    kept: int
    is_refused: bool
    seconds: float
    is_dry: bool = False
    import_id: str = ""

    @property
    def exit_code(self) -> int:
        """0: all rows, 1: all but the bad ones, 2: nothing."""
        if self.is_refused:
            return NOTHING
        return SOME if self.rejected else ALL


def columns(names: str = "") -> Columns:
    """The columns of a file of prices, with the map `product_id=sku,amount=price`; empty: the file has our names.

    Raises:
        ValueError: the map has another form, or a name that is not ours.
    """
    return Columns(parse_map(names, NAMES), names=NAMES, required=REQUIRED)


OURS = columns()


def run(
    conn: Conn,
    source: Source,
    list_id: str,
    author: str,
    *,
    rejects: Path,
    connect: Callable[[], Conn],
    publish: Publish,
    announce: Callable[[int], None],
    settle_s: float,
    skip_bad: bool = False,
    dry_run: bool = False,
    mapped: Columns = OURS,
    writes: Callable[[int], None] = lambda _: None,
    tried_by: Transaction | None = None,
) -> EntriesImported:
    """Replace the entries of a list by those of a file; several transactions, which it commits.

    Args:
        conn: Outside of a transaction.
        source: The file.
        list_id: The list.
        author: For the rulebook's new version.
        rejects: The file for bad rows, written if there are any.
        connect: Opens a further connection.
        publish: Puts new sheets into the caches, after their commit; called by several threads.
        announce: Called with the rulebook's version that puts the entries in force.
        settle_s: The wait before loaded entries are put in force, in which caches drop contracts without them.
        skip_bad: Import the good rows even if there are bad rows.
        dry_run: Check all rows, and keep none.
        mapped: The mapping of the file's columns.
        writes: Called with the number of sheets written so far.
        tried_by: Opens the transactions in which the entries are tried on a sample first; None: they are not tried.

    Raises:
        PlanFirst: by the sample, they would move too many public prices too far.
        NotFound: there is no such list.
        RefusedFile: the source cannot be read or has another form; or a later load of the list is in force.
    """
    began = time.monotonic()
    cause, began_at = Cause("import", str(uuid4())), clock.now(conn)
    revision, currency = revisions.begin(conn, list_id), revisions.currency(conn, list_id)
    conn.commit()
    try:
        reader, found = chunks(source.lines, mapped)
        named = {name for name, _ in reader.positions}
        has_tier_rows = not reader.is_table or any(name in named for name in TIER_COLUMNS)
        check = EntryCheck(reader, list_id, revision, currency, has_tier_rows)
        rows = checked(check.checked, regrouped(check, found) if has_tier_rows else found)
        loaded = entry_loading.stage(conn, list_id, revision, rows)
        if not loaded.rows:
            raise RefusedFile("it has no rows")
        source.check_unchanged()
        kept = staging.write_rejects(conn, rejects, MAX_REJECTS_BYTES) if loaded.rejected else 0
        shown = staging.first_rejects(conn) if loaded.rejected else []
        is_refused = loaded.rejected > 0 and (not skip_bad or not loaded.entries)
        products = 0
        if is_refused or dry_run:
            entry_loading.drop(conn, list_id, revision)
        else:
            if tried_by is not None:
                _try(conn, tried_by, list_id, revision)
            for count in entry_loading.put_into_sheets(conn, connect, list_id, revision, cause, publish):
                products += count
                writes(products)
            time.sleep(settle_s)
            announce(_put_in_force(conn, list_id, revision, author, cause.id, began_at))
    except (PlanFirst, RefusedFile, KeyboardInterrupt):
        entry_loading.drop(conn, list_id, revision)
        raise
    return EntriesImported(
        loaded.rows,
        0 if is_refused else loaded.entries,
        products,
        loaded.rejected,
        shown,
        kept,
        is_refused,
        time.monotonic() - began,
        dry_run,
        "" if is_refused or dry_run else cause.id,
    )


def _try(conn: Conn, tried_by: Transaction, list_id: str, revision: int) -> None:
    """Try a sample of the products that have entries in the loaded revision, or in the one that it replaces."""
    either = [revision, revisions.in_force(conn, list_id)]
    chosen, number = listed_products.sample(conn, list_id, either, trial.SAMPLE)
    loaded = price_lists.of_pairs(conn, list_id, revision, [(each, price_lists.EVERYONE) for each in chosen])
    conn.commit()
    entries = [price_lists.as_write(row) for rows in loaded.values() for row in rows]
    kept = {entry.product_id for entry in entries}
    entries += [EntryWrite(product_id=each, delete=True) for each in chosen if each not in kept]
    if entries:
        change = Change(entries=EntriesChange(list=list_id, entries=tuple(entries)))
        trial.check(tried_by, change, confirm="--confirm", of=number)


def _put_in_force(conn: Conn, list_id: str, revision: int, author: str, import_id: str, began_at: datetime) -> int:
    by = By(author, f"entries of price list {list_id}")
    try:
        made = revisions.switch(conn, list_id, revision, by, import_id, began_at)
    except Superseded as error:
        raise RefusedFile(str(error)) from None
    if reductions.is_reducing(made.rulebook, list_id):
        tasks.create(conn, "recalculation", ProductSet(), "")
    conn.commit()
    return made.version
