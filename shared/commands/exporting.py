"""Exports: `just export` of the catalogue, of prices, of histories and of price lists."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from shared.commands import document_files
from shared.commands.instants import INSTANT
from shared.commands.suggestions import check_category, like_product
from shared.commands.terminal import connection, failure, plural, print_line
from shared.errors import translate
from shared.importing import exported_prices, exporter, outputs, tables
from shared.importing.exported_prices import HistoryFilter
from shared.importing.tables import Form
from shared.postgres.pools import Conn
from shared.pricing.query import PriceQuery
from shared.printable import printable
from shared.settings import Settings


@click.command("export")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), default="-")
@click.option(
    "--format", "form", type=click.Choice(["csv", "jsonl", "xlsx"]), help="Default: by the FILE's name, else csv."
)
@click.option("--category", help="Products, --prices: only of this category.")
@click.option(
    "--for-spreadsheets",
    is_flag=True,
    help="CSV: an apostrophe before texts that would run as a formula; `just import --from-spreadsheets` removes it.",
)
@click.option("--prices", "with_prices", is_flag=True, help="The prices of all products, as the API answers.")
@click.option("--market", help="--prices: the location of the customer.")
@click.option(
    "--quantity", type=click.FloatRange(0, 1_000_000, min_open=True), default=1, help="--prices: the quantity."
)
@click.option("--member", is_flag=True, help="--prices: the customer is a member.")
@click.option("--currency", help="--prices: the currency. Default: the market's, else the product's.")
@click.option("--channel", help="--prices: the sales channel.")
@click.option("--group", "groups", multiple=True, help="--prices: a group of the customer; may be given several times.")
@click.option("--customer", help="--prices: the customer, for contract prices.")
@click.option("--at", type=INSTANT, help="--prices: of this instant, as 2026-11-27T09:00Z. Default: now.")
@click.option("--history", "with_history", is_flag=True, help="The changes of published prices.")
@click.option("--product", help="--history: only of this product.")
@click.option("--since", type=click.DateTime(), help="--history: only from this time on, in UTC.")
@click.option("--until", type=click.DateTime(), help="--history: only before this time, in UTC.")
@click.option("--list", "list_id", help="The entries of this price list, as `just import-prices` reads them.")
@click.pass_obj
def export_file(
    settings: Settings,
    /,
    file: Path,
    form: Form | None,
    category: str | None,
    list_id: str | None,
    *,
    for_spreadsheets: bool,
    with_prices: bool,
    with_history: bool,
    **options: Any,
) -> None:
    """Write the catalogue to a FILE, or to standard output, as `just import` reads it.

    With --prices, --history or --list, write these instead. A FILE in .gz is compressed. An existing FILE is replaced
    when the export is complete.
    """
    form = form or tables.form_of(file)
    if for_spreadsheets and form != "csv":
        raise click.UsageError("--for-spreadsheets is for CSV; in XLSX texts never run.")
    if sum((with_prices, with_history, list_id is not None)) > 1:
        raise click.UsageError("--prices, --history and --list are exports of their own; name one.")
    with document_files.writing(file), connection(settings) as conn:
        if not (with_prices or with_history or list_id is not None):
            count = exporter.run(conn, file, form, category, for_spreadsheets=for_spreadsheets)
            print_line(plural(count, "product"))
            return
        if category is not None:
            if not options["at"]:  # a category of the past may be gone
                check_category(conn, category)
            conn.rollback()
        if with_prices:
            days = settings.history_days
            rows = exported_prices.prices(conn, _context(options), category, history_days=days)
            count = _write(file, form, exported_prices.PRICE, rows, protects=for_spreadsheets)
            print_line(plural(count, "price"))
        elif with_history:
            rows = exported_prices.history(conn, _changes(conn, options))
            count = _write(file, form, exported_prices.HISTORY, rows, protects=for_spreadsheets)
            print_line(plural(count, "change"))
        else:
            rows = exported_prices.entries(conn, list_id or "")
            count = _write(file, form, exported_prices.ENTRY, rows, protects=for_spreadsheets)
            print_line(plural(count, "entry", "entries"))


def _write(file: Path, form: Form, names: Sequence[str], rows: Iterable[Sequence[Any]], *, protects: bool) -> int:
    with outputs.exported(file) as opened:
        return tables.write(opened, form, names, rows, protects=protects)


def _context(options: dict[str, Any]) -> PriceQuery:
    quantity = options["quantity"]
    given = {
        "product_id": "-",
        "user_location": options["market"],
        "is_prime_member": options["member"],
        "quantity": int(quantity) if quantity == int(quantity) else quantity,
        "currency": options["currency"] and options["currency"].upper(),
        "channel": options["channel"],
        "customer_groups": options["groups"],
        "customer_id": options["customer"],
        "at": options["at"],
    }
    try:
        return msgspec.convert(given, PriceQuery)
    except msgspec.ValidationError as error:
        raise click.UsageError(printable(str(translate(error) or error))) from None


def _changes(conn: Conn, options: dict[str, Any]) -> HistoryFilter:
    product_id = options["product"]
    if product_id is not None:
        query = "SELECT FROM price_history WHERE product_id = %s LIMIT 1"
        if not conn.execute(query, [product_id]).rowcount:
            raise failure(f"no product {product_id!r}{like_product(conn, product_id)}")
    return HistoryFilter(product_id, _utc(options["since"]), _utc(options["until"]))


def _utc(at: datetime | None) -> datetime | None:
    return at and at.replace(tzinfo=UTC)
