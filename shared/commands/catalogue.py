"""The catalogue: its schema, the demo, imports."""

import sys
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import click

from shared.access import keys
from shared.cache.writer import forget_absences
from shared.commands import demo, import_progress, planned_import, sale_import
from shared.commands.rule_changes import CONFIRM
from shared.commands.terminal import INTERRUPTED, connection, console, plural, print_line
from shared.commands.text_options import text_options
from shared.errors import InvalidInput, RedisUnavailable, translated
from shared.importing import importer
from shared.importing.columns import Columns, RefusedFile, constants, parse_map
from shared.importing.shops import SHOPS, Shop, ShopName
from shared.messaging import clients
from shared.postgres import limits
from shared.pricing.windows import zone_of
from shared.printable import printable
from shared.rulebook import store as rulebook
from shared.settings import Settings


@click.command("migrate")
@click.pass_obj
def migrate(settings: Settings) -> None:
    """Migrate the schema; create the admin key, the neutral rulebook where they are missing."""
    # Alembic takes longer to import than every other command takes to run.
    from shared.postgres import migrations

    with connection(settings) as conn:
        migrations.migrate(settings)
        if settings.is_pooled:
            limits.keep_in_role(conn)
        rulebook.ensure_default(conn)
        keys.ensure_admin_key(conn, settings.home_dir, settings.admin_key)


@click.command("demo")
@click.option("--if-new", is_flag=True, help="Do nothing where something was written, or --none was given.")
@click.option("--none", "is_left_out", is_flag=True, help="Write no demo, now and at later starts.")
@click.pass_obj
def load_demo(settings: Settings, *, if_new: bool, is_left_out: bool) -> None:
    """Write the demo catalogue: P-100 to P-999, and its markets. `just delete demo` removes it."""
    with connection(settings) as conn:
        if (if_new or is_left_out) and not demo.is_wanted(conn):
            if is_left_out and (there := len(demo.own_products(conn).ours)):
                print_line(f"the demo is there already, with {plural(there, 'product')}: `just delete demo` removes it")
            return
        if is_left_out:
            demo.leave_out(conn)
            print_line("an empty catalogue: no products, one market DEFAULT × 1")
        else:
            print_line(plural(demo.load(conn), "demo product"))


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option(
    "--map", "names", default="", metavar="OURS=THEIRS,…", help="Our columns and the file's; others are ignored."
)
@click.option("--currency", help="The currency of rows that have none.")
@click.option("--category", help="The category of rows that have none.")
@text_options
@click.option(
    "--from",
    "shop_name",
    type=click.Choice(list(SHOPS)),
    help="The products export of a shop system; needs --currency.",
)
@click.option("--zone", default="UTC", show_default=True, help="--from: the time zone of the shop's sale dates.")
@click.option(
    "--replace",
    "replaces",
    is_flag=True,
    help="Replace products as a whole: columns that the file has not are cleared.",
)
@click.option("--dry-run", is_flag=True, help="Report what would change, also in prices, and keep nothing.")
@click.option("--plan", "plans", is_flag=True, help="Plan it: show every price that moves; `just apply` imports it.")
@CONFIRM
@click.option("--skip-bad", is_flag=True, help="Import the good rows even if there are bad ones.")
@click.option(
    "--rejects", type=click.Path(path_type=Path), help="The file for bad rows. Default: FILE.rejects.csv, here."
)
@click.option(
    "--from-spreadsheets", is_flag=True, help="Read back `just export --for-spreadsheets`: remove its apostrophes."
)
@click.pass_obj
def import_file(
    settings: Settings,
    /,
    file: Path,
    names: str,
    currency: str | None,
    category: str | None,
    rejects: Path | None,
    shop_name: ShopName | None,
    zone: str,
    *,
    replaces: bool,
    dry_run: bool,
    plans: bool,
    confirm: bool,
    skip_bad: bool,
    from_spreadsheets: bool,
    **text: Any,
) -> None:
    """Insert or update the products of a FILE, or of standard input: `-`.

    The file is CSV with a header, JSON Lines or a workbook (XLSX, XLS, ODS); plain or gzip. Its delimiter and encoding
    are recognised. Columns:
    product_id, name, currency, base_price. Optional columns: category, cost, stock, min_price, max_price, strategy,
    tiers (JSON), brand, tags (separated by |), content_amount, content_unit, tax_class, quantity_step, price_decimals,
    map_price, rrp. Of products that exist, only the product_id is needed: columns that the file has not leave their
    values, and empty cells empty them.

    An import that would move too many prices too far is refused: --plan shows it, --confirm makes it.

    Exit code 0: all rows were imported, 1: all but the bad ones, 2: nothing.
    """
    try:
        given = constants(currency=currency, category=category)
        columns = Columns(parse_map(names), given, from_spreadsheets, replaces=replaces, **text)
        shop = _shop(shop_name, columns, zone)
        if plans:
            planned_import.check_options(dry_run=dry_run, rejects=rejects)
            planned_import.run(settings, file, columns, shop, skip_bad=skip_bad)
            return
        tried_by = None if confirm or dry_run else partial(connection, settings)
        with connection(settings) as conn:
            options: dict[str, Any] = {"skip_bad": skip_bad, "dry_run": dry_run, "tried_by": tried_by}
            code = import_progress.run(conn, console, file, columns, rejects, shop=shop, **options)
            if shop and code != importer.NOTHING and not dry_run:
                code = max(code, sale_import.put(conn, settings, shop, columns, tried_by))
        if code != importer.NOTHING and not dry_run:
            _note_creations(settings)
    except (ValueError, InvalidInput) as error:
        raise click.UsageError(printable(str(error).replace("$.", "--"))) from None
    except click.ClickException as error:
        print_line(f"Error: {error.message}; nothing was imported")
        code = importer.NOTHING
    except KeyboardInterrupt:
        print_line("interrupted; nothing was imported")
        code = INTERRUPTED
    sys.exit(code)


def _shop(name: ShopName | None, columns: Columns, zone: str) -> Shop | None:
    if name is None:
        return None
    if columns.theirs:
        raise click.UsageError("--from has a map of its own; leave --map out.")
    zone_of(zone)
    try:
        return SHOPS[name](columns, zone)
    except RefusedFile as refused:
        raise click.UsageError(printable(str(refused))) from None


def _note_creations(settings: Settings) -> None:
    """Invalidate the negative cache entries; while Redis is away they expire within seconds."""
    cache = clients.sheets_client(settings.redis_for("cache"), "pricing-catalogue")
    with closing(cache), suppress(RedisUnavailable), translated():
        forget_absences(cache)
