"""`just import FILE --plan`: the file is staged, a plan of it is made and shown, and nothing else is changed."""

from pathlib import Path

import click

from shared.access import audit
from shared.catalogue.product_set import ProductSet
from shared.commands import import_progress, plan_progress, plan_report
from shared.commands.terminal import failure, print_line, writing
from shared.errors import InvalidInput
from shared.importing import planned, source
from shared.importing.columns import Columns, RefusedFile
from shared.importing.shops import Shop
from shared.jobs import tasks
from shared.plans import making
from shared.plans.changes import Change
from shared.plans.store import Author
from shared.printable import printable
from shared.settings import Settings


def run(settings: Settings, file: Path, columns: Columns, shop: Shop | None, *, skip_bad: bool) -> None:
    """Plan the import of a file.

    Raises:
        ClickException: the file is refused, a row is bad, or the plan fails.
    """
    name = import_progress.name_of(file)
    try:
        with source.opened(file, encoding=columns.encoding) as opened, writing(settings) as conn:
            staged = planned.stage(conn, opened, columns, audit.commander(), shop=shop, skip_bad=skip_bad)
            change = Change(import_=staged.import_id)
            made = making.make(conn, [change], Author(audit.commander(), None), "", ProductSet())
            tasks.release(conn, [made.task_id])
    except (RefusedFile, InvalidInput) as error:
        raise failure(printable(f"{name}: {error}")) from None
    counts = f"{staged.created:,} new, {staged.changed:,} changed, {staged.unchanged:,} unchanged"
    print_line(f"{name}: {counts}, {staged.rejected:,} rejected; nothing is imported yet")
    plan_report.show(plan_progress.reached(settings, made.plan_id, "ready"))
    print_line(f"just apply {made.plan_id} imports it")


def check_options(*, dry_run: bool, rejects: Path | None) -> None:
    """Refuse options that exclude a plan."""
    if dry_run or rejects is not None:
        raise click.UsageError("--plan excludes --dry-run and --rejects.")
