"""The importer: the rows of a CSV or JSON Lines file become products with prices, all of them or none."""

import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import msgspec

from shared.catalogue import imports
from shared.catalogue.imports import Counts
from shared.importing import differences, merging, staging, writing
from shared.importing.checking import Check
from shared.importing.chunks import chunks
from shared.importing.columns import Columns, RefusedFile
from shared.importing.differences import Differences
from shared.importing.process_pool import checked
from shared.importing.shops import Shop
from shared.importing.source import Source
from shared.importing.staging import Reject, Staged
from shared.importing.writing import Written
from shared.plans import trial
from shared.plans.changes import Change
from shared.plans.trial import Transaction
from shared.postgres import clock
from shared.postgres.pools import Conn
from shared.prices.new_versions import Cause
from shared.rulebook import store as rulebook
from shared.rulebook.store import ActivePolicy
from shared.telemetry.tracing import current_trace_id

ALL, SOME, NOTHING = 0, 1, 2
# A compressed file of 20 kB can hold bad rows of 100 MB.
MAX_REJECTS_BYTES = 16_000_000


class Imported(msgspec.Struct, frozen=True):
    """The result of an import or of a dry run.

    Attributes:
        rejects: The first bad rows.
        import_id: Its id, in the price history and for an undo.
        kept: The number of bad rows in the rejects file, which has at most 16 MB.
        is_refused: Whether nothing was imported because of bad rows.
        differences: What changes in products that existed; None: nothing.
    """

    rows: int
    created: int
    changed: int
    rejected: int
    rejects: list[Reject]
    kept: int
    is_refused: bool
    seconds: float
    differences: Differences | None = None
    import_id: str = ""

    @property
    def exit_code(self) -> int:
        """0: all rows, 1: all but the bad ones, 2: nothing."""
        if self.is_refused:
            return NOTHING
        return SOME if self.rejected else ALL

    @property
    def unchanged(self) -> int:
        """Products whose row in the file equals the one in the catalogue."""
        return 0 if self.is_refused else self.rows - self.rejected - self.created - self.changed


def run(
    conn: Conn,
    source: Source,
    columns: Columns,
    *,
    rejects: Path,
    skip_bad: bool = False,
    shop: Shop | None = None,
    writes: Callable[[], None] = lambda: None,
    tried_by: Transaction | None = None,
) -> Imported:
    """Import a source, in the caller's transaction; all its rows are checked before existing products are written.

    Columns that the file has not leave the values of products that exist, unless `columns.replaces`.
    Products that existed before and get another sheet are listed in `cache_sync` tasks, of 5,000 ids at most, by
    which a worker puts the new sheets into Redis. Unchanged products cause no work.

    Args:
        conn: In a transaction; for a dry run the caller rolls it back.
        source: The source to read.
        columns: The mapping of its columns.
        rejects: The file for bad rows, written if there are any.
        skip_bad: Import the good rows even if there are bad rows.
        shop: Turns the rows of a shop system's export into ours, and collects its sale prices.
        writes: Called when all rows are read, before existing products are written.
        tried_by: Opens the transactions in which the changes are tried on a sample first; None: they are not tried.

    Raises:
        PlanFirst: by the sample, it would move too many prices too far.
        RefusedFile: the source cannot be read, is neither CSV nor JSON Lines, has no rows, or was changed during the
            import; or the active policy was replaced.
    """
    began = time.monotonic()
    policy, at = rulebook.active_policy(conn), clock.now(conn)
    reader, found = chunks(source.lines, columns, shop)
    conn.execute(_ONE_AT_A_TIME)
    cause = Cause("import", str(uuid4()))
    check = Check(reader, policy, at, cause.id, current_trace_id())
    staged = staging.stage(conn, checked(check.checked, found), skip_bad=skip_bad)
    if not staged.rows:
        raise RefusedFile("it has no rows")
    staged = staged._replace(rejected=staged.rejected + merging.merge(conn))
    source.check_unchanged()
    kept = staging.write_rejects(conn, rejects, MAX_REJECTS_BYTES) if staged.rejected else 0
    is_refused = staged.rejected == staged.rows or (staged.rejected > 0 and not skip_bad)
    written, changes = Written(0, 0), None
    if not is_refused:
        if tried_by is not None:
            changed, number = merging.sample(conn, trial.SAMPLE)
            trial.check(tried_by, *(Change(product=each) for each in changed), confirm="--confirm", of=number)
        writes()
        written = writing.upsert(conn)
        writing.note_replaced(conn, cause)
        writing.price(conn, policy, at, cause)
        changes = differences.found(conn, cause.id) if written.changed else None
        source.check_unchanged()
        _check_policy(conn, policy)
    imported = Imported(
        staged.rows,
        0 if is_refused else staged.created + written.created,
        written.changed,
        staged.rejected,
        _shown(conn, staged),
        kept,
        is_refused,
        time.monotonic() - began,
        changes,
        cause.id,
    )
    counts = Counts(imported.created, imported.changed, imported.unchanged, imported.rejected)
    imports.note(conn, cause.id, at, counts)
    return imported


def _check_policy(conn: Conn, policy: ActivePolicy) -> None:
    """Raise RefusedFile where the policy was replaced: its recalculation does not see uncommitted products."""
    if rulebook.active_policy(conn).policy != policy.policy:
        raise RefusedFile("the pricing policy was replaced meanwhile; import it again")


# New products are stored in the order of the file: two imports at once could deadlock.
_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtext('pricing-import'))"


def _shown(conn: Conn, staged: Staged) -> list[Reject]:
    return staging.first_rejects(conn) if staged.rejected else []
