"""The output of an import: progress, bad rows, and one line with the result."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

from shared.commands.terminal import note_write, plural, print_line
from shared.errors import PlanFirst
from shared.importing import importer, source
from shared.importing.columns import Columns, RefusedFile
from shared.importing.differences import Differences
from shared.importing.entry_importer import EntriesImported
from shared.importing.importer import Imported
from shared.importing.shops import SALE_LIST, Shop
from shared.plans.trial import Transaction
from shared.postgres.pools import Conn

# A rate is shown from so many rows and seconds on.
RATED_ROWS, RATED_S = 1_000, 1.0


def run(
    conn: Conn,
    console: Console,
    file: Path,
    columns: Columns,
    rejects: Path | None,
    *,
    shop: Shop | None = None,
    skip_bad: bool,
    dry_run: bool,
    tried_by: Transaction | None = None,
) -> int:
    """Import a file in the caller's transaction, or roll it back; returns the exit code.

    With `tried_by` its changes are tried first, as `importer.run` has it.
    """
    rejects = rejects or Path(f"{'stdin' if file == source.STDIN else file.name}.rejects.csv")
    try:
        if rejects.exists() and file.exists() and rejects.samefile(file):
            raise RefusedFile("the rejects would be written over it")
        done = _imported(conn, console, file, columns, rejects, shop, tried_by, skip_bad=skip_bad)
    except (PlanFirst, RefusedFile) as refused:
        conn.rollback()
        print_line(f"{name_of(file)}: {refused}; nothing was imported", console)
        return importer.NOTHING
    if dry_run or done.is_refused:
        conn.rollback()
    else:
        note_write(conn)
        conn.commit()
    if shop:
        _report_shop(console, shop)
    _report(console, done, rejects, dry_run=dry_run)
    return done.exit_code


def _imported(
    conn: Conn,
    console: Console,
    file: Path,
    columns: Columns,
    rejects: Path,
    shop: Shop | None,
    tried_by: Transaction | None,
    *,
    skip_bad: bool,
) -> Imported:
    with progress_on(console) as progress:
        reading = progress.add_task("reading", total=None)
        with source.opened(file, lambda count: progress.advance(reading, count), columns.encoding) as opened:
            progress.update(reading, total=opened.size)
            note_guess(console, opened)

            def writes() -> None:
                progress.update(reading, description="writing", total=None)

            options: dict[str, Any] = {"skip_bad": skip_bad, "shop": shop, "writes": writes, "tried_by": tried_by}
            return importer.run(conn, opened, columns, rejects=rejects, **options)


def _report_shop(console: Console, shop: Shop) -> None:
    """Print what the rows of a shop's export have that products have not, and each row without a price."""
    for sentence in shop.unpriced:
        print_line(sentence, console)
    for note, count in sorted(shop.counts.items()):
        print_line(f"{plural(count, 'row')}: {note}", console)
    if shop.sale_prices:
        print_line(f"for the price list {SALE_LIST}: {plural(shop.sale_prices, 'sale price')}", console)


def note_guess(console: Console, opened: source.Source) -> None:
    """Print that the encoding is a guess, if it is one."""
    if opened.guess:
        print_line(opened.guess, console)


def progress_on(console: Console) -> Progress:
    """A progress bar; nothing where there is no terminal."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        # Without a terminal it would leave an empty line.
        disable=not console.is_terminal,
    )


def _report(console: Console, done: Imported, rejects: Path, *, dry_run: bool) -> None:
    report_rejects(console, done, rejects)
    if done.differences is not None:
        _report_differences(console, done.differences, in_full=dry_run)
    print_line(f"{'dry run, nothing was kept: ' if dry_run else ''}{summary(done)}", console)
    if not dry_run and done.created + done.changed:
        print_line(f"just undo --import {done.import_id} --apply takes it back", console)


def _report_differences(console: Console, changes: Differences, *, in_full: bool) -> None:
    """Print the columns that change and, in full, the first products that do, and the effect on prices."""
    if in_full:
        for one in changes.first:
            print_line(f"{one.product_id}: {one.column} {one.before or 'empty'} → {one.after or 'empty'}", console)
    for name, changed, removed, added in changes.columns:
        kinds = (("changed in", changed), ("removed from", removed), ("added to", added))
        print_line(", ".join(f"{name} {kind} {plural(count, 'product')}" for kind, count in kinds if count), console)
    if changes.kept_tiers:
        kept = f"{plural(changes.kept_tiers, 'product')} with another base_price"
        print_line(f"tiers stay as they were in {kept}: they are charged as written", console)
    prices = changes.prices
    if in_full:
        for move in prices.largest:
            print_line(f"{move.product_id}: price {move.before:f} → {move.after:f} {move.currency}", console)
    if prices.rise or prices.fall:
        print_line(f"published prices: {prices.rise:,} rise, {prices.fall:,} fall", console)


def report_rejects(console: Console, done: Imported | EntriesImported, rejects: Path) -> None:
    """Print the first bad rows, and where all of them are."""
    for reject in done.rejects:
        print_line(f"line {reject.line}, {reject.column}: {reject.reason}", console)
    if done.rejected > len(done.rejects):
        print_line(f"… and {done.rejected - len(done.rejects):,} more", console)
    if done.rejected:
        which = "bad rows" if done.kept == done.rejected else f"the first {done.kept:,} bad rows"
        print_line(f"{which} are in {rejects}", console)
    if done.is_refused and done.rejected < done.rows:
        print_line("nothing was imported because of them; --skip-bad imports the others", console)


def summary(done: Imported) -> str:
    """One line: the rows, their outcomes, and the speed."""
    counts = f"{plural(done.rows, 'row')}: {done.created:,} new, {done.changed:,} changed, {done.unchanged:,} unchanged"
    return f"{counts}, {done.rejected:,} rejected; {speed(done.rows, done.seconds)}"


def speed(rows: int, seconds: float) -> str:
    """The time that rows took; with a rate where the start of a command is a small part of it."""
    has_rate = seconds >= RATED_S and rows >= RATED_ROWS
    return f"{seconds:.1f} s" + (f", {rows / seconds:,.0f} rows/s" if has_rate else "")


def name_of(file: Path) -> str:
    """The file, for people."""
    return "standard input" if file == source.STDIN else str(file)
