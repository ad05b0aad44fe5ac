"""Prices of a list from a file: `just import-prices`."""

import sys
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import click
from msgspec.structs import replace

from shared.access import audit
from shared.cache import contracts
from shared.cache.writer import SheetWriter
from shared.catalogue.product_set import ProductSet
from shared.commands.import_progress import name_of, note_guess, progress_on, report_rejects, speed
from shared.commands.rule_changes import CONFIRM
from shared.commands.terminal import INTERRUPTED, connection, console, note_write, plural, print_line
from shared.commands.text_options import text_options
from shared.errors import PlanFirst, RedisUnavailable, translated
from shared.importing import entry_importer, importer, source
from shared.importing.columns import Columns, RefusedFile
from shared.importing.entry_importer import EntriesImported
from shared.jobs import tasks
from shared.messaging import clients
from shared.messaging.channel import announce_rulebook
from shared.plans.trial import Transaction
from shared.postgres import pools
from shared.postgres.pools import Conn
from shared.prices.new_versions import StoredSheet
from shared.printable import printable
from shared.settings import Settings
from shared.telemetry import propagation


@click.command("import-prices")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--list", "list_id", required=True, metavar="ID", help="The price list, which the rulebook must have.")
@click.option(
    "--map", "names", default="", metavar="OURS=THEIRS,…", help="Our columns and the file's; others are ignored."
)
@click.option("--dry-run", is_flag=True, help="Check the file, and keep nothing.")
@CONFIRM
@click.option("--skip-bad", is_flag=True, help="Import the good rows even if there are bad ones.")
@click.option(
    "--rejects", type=click.Path(path_type=Path), help="The file for bad rows. Default: FILE.rejects.csv, here."
)
@text_options
@click.pass_obj
def import_prices(
    settings: Settings,
    /,
    file: Path,
    list_id: str,
    names: str,
    rejects: Path | None,
    *,
    dry_run: bool,
    confirm: bool,
    skip_bad: bool,
    **text: Any,
) -> None:
    """Replace the entries of a price list by those of a FILE, or of standard input: `-`.

    The file is CSV with a header, JSON Lines or a workbook (XLSX, XLS, ODS); plain or gzip. Its delimiter and encoding
    are recognised. Columns:
    product_id, amount. Optional columns: customer_id, currency (which is only checked), from, until, zone,
    price_decimals, tier_mode, tiers (JSON). With min_quantity or up_to a row is a tier: rows of a product that follow
    one another are one entry.

    All prices change at one instant, when everything is loaded. A killed import leaves the old prices. One that would
    move too many prices too far is refused, unless it is confirmed.

    Exit code 0: all rows were imported, 1: all but the bad ones, 2: nothing.
    """
    rejects = rejects or Path(f"{'stdin' if file == source.STDIN else file.name}.rejects.csv")
    try:
        with connection(settings) as conn:
            mapped = replace(entry_importer.columns(names), **text)
            tried_by = None if confirm else partial(connection, settings)
            options: dict[str, Any] = {"skip_bad": skip_bad, "dry_run": dry_run, "tried_by": tried_by}
            done = load(conn, settings, file, list_id, rejects, mapped, **options)
            if not done.is_refused and not dry_run:
                note_write(conn)
        report_rejects(console, done, rejects)
        print_line(summary(done))
        if done.import_id:
            print_line(f"just undo --import {done.import_id} --apply takes it back")
        code = done.exit_code
    except ValueError as error:
        raise click.UsageError(printable(str(error))) from None
    except (PlanFirst, RefusedFile) as refused:
        print_line(f"{name_of(file)}: {refused}; nothing was imported")
        code = importer.NOTHING
    except click.ClickException as error:
        print_line(f"Error: {error.message}; nothing was imported")
        code = importer.NOTHING
    except KeyboardInterrupt:
        print_line("interrupted; nothing was imported")
        code = INTERRUPTED
    sys.exit(code)


def summary(done: EntriesImported) -> str:
    """One line: the rows, their outcomes, and the speed."""
    counts = f"{plural(done.rows, 'row')}: {plural(done.entries, 'entry', 'entries')}"
    if done.is_dry:
        counts = f"dry run, nothing was kept: {counts}"
    else:
        counts += f", {plural(done.products, 'product')} with a new sheet"
    return f"{counts}, {done.rejected:,} rejected; {speed(done.rows, done.seconds)}"


def load(
    conn: Conn,
    settings: Settings,
    file: Path,
    list_id: str,
    rejects: Path,
    mapped: Columns,
    *,
    skip_bad: bool,
    dry_run: bool,
    tried_by: Transaction | None = None,
) -> EntriesImported:
    """Replace the entries of a list by those of a file, with a progress bar; several transactions, which it commits.

    Raises:
        NotFound: there is no such list.
        PlanFirst: as `entry_importer.run`.
        RefusedFile: as `entry_importer.run`; or the rejects would be written over the file.
    """
    if rejects.exists() and file.exists() and rejects.samefile(file):
        raise RefusedFile("the rejects would be written over it")
    cache = clients.sheets_client(settings.redis_for("cache"), "pricing-catalogue")
    events = clients.client(settings.redis_for("events"), "pricing-catalogue")
    with closing(cache), closing(events), progress_on(console) as progress:
        writer = SheetWriter(cache, events, settings.cache_ttl_s)
        reading = progress.add_task("reading", total=None)

        def publish(conn: Conn, sheets: Sequence[StoredSheet]) -> None:
            try:
                with translated():
                    writer.put(sheets)
            except RedisUnavailable:
                product_set = ProductSet(product_ids=tuple(sheet.product_id for sheet in sheets))
                tasks.create(conn, "cache_sync", product_set, propagation.current()["traceparent"])
                conn.commit()

        with source.opened(file, lambda count: progress.advance(reading, count), mapped.encoding) as opened:
            progress.update(reading, total=opened.size)
            note_guess(console, opened)
            return entry_importer.run(
                conn,
                opened,
                list_id,
                audit.commander(),
                rejects=rejects,
                connect=lambda: pools.connect(settings, "pricing-catalogue"),
                publish=publish,
                announce=lambda version: announce_rulebook(events, version),
                settle_s=contracts.TTL_MS / 1000,
                skip_bad=skip_bad,
                dry_run=dry_run,
                mapped=mapped,
                tried_by=tried_by,
                writes=lambda count: progress.update(reading, description=f"writing {count:,} sheets", total=None),
            )
