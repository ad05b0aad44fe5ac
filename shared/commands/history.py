"""A product's price history: `just history PRODUCT`, `just history PRODUCT --market DE`."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import click

from shared.commands.suggestions import like_product
from shared.commands.terminal import add_row, connection, failure, out, plural, print_line, table, writing
from shared.errors import NotFound
from shared.prices import imported_prices, lowest_prices, public_prices
from shared.prices.history import PriceChange, price_changes
from shared.prices.new_versions import Cause
from shared.prices.public_prices import PublicPrices
from shared.prices.timeline import entries
from shared.pricing.lowest_price import share_off
from shared.rulebook.term_changes import TermChange
from shared.settings import Settings


@click.command("history")
@click.argument("product_id")
@click.option("--since", type=click.DateTime(), help="Only changes from this time on, in UTC.")
@click.option("--until", type=click.DateTime(), help="Only changes before this time, in UTC.")
@click.option("--limit", default=20, type=click.IntRange(1), help="The largest number of changes to list.")
@click.option("--market", help="Show the public prices in this market, and the lowest before a reduction.")
@click.option("--prices", "only_prices", is_flag=True, help="Leave out the changes of the rulebook and market values.")
@click.pass_obj
def history_command(
    settings: Settings,
    product_id: str,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    market: str | None,
    *,
    only_prices: bool,
) -> None:
    """List the price changes of a product, newest first, with their causes, and those of the terms that it has.

    Terms are the rulebook, by versions, the multipliers of markets and the exchange rates of the product's currency.
    """
    begins, end = _utc(since), _utc(until)
    if market is not None:
        end = end or datetime.now(UTC)
        kept = datetime.now(UTC) - timedelta(days=settings.history_days)
        with connection(settings) as conn:
            _show(public_prices.in_market(conn, product_id, market, kept, end), begins or kept, limit)
        return
    with connection(settings) as conn:
        try:
            found: list[PriceChange | TermChange] = (
                [*price_changes(conn, product_id, limit, since=begins, until=end)]
                if only_prices
                else [entry.change for entry in entries(conn, product_id, limit, since=begins, until=end)]
            )
        except NotFound as error:
            raise failure(f"{error}{like_product(conn, product_id)}") from None
    rows = table("time (UTC)", "what", "before", "after", "cause", "rulebook", "trace")
    for change in found:
        row = _price_row(change) if isinstance(change, PriceChange) else _term_row(change)
        add_row(rows, f"{change.at.astimezone(UTC):%F %T}", *row)
    out.print(rows, soft_wrap=False)


def _price_row(change: PriceChange) -> tuple[str, ...]:
    before = "" if change.old_price is None else f"{change.old_price} {change.currency}"
    price = "deleted" if change.new_price is None else f"{change.new_price} {change.currency}"
    cause = f"{change.cause} {change.cause_id}".strip()
    return (
        f"price, version {change.version}",
        before,
        price,
        cause,
        str(change.rulebook_version),
        change.trace_id.strip("0") and change.trace_id,
    )


def _term_row(change: TermChange) -> tuple[str, ...]:
    if change.kind == "rulebook":
        before = "" if change.before is None else f"version {change.before}"
        return "rulebook", before, f"version {change.after}", change.cause, "", ""
    what = "market" if change.kind == "multiplier" else "rate"
    return f"{what} {change.name}", change.before or "", change.after or "none", change.cause, "", ""


@click.command("import-history")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True))
@click.pass_obj
def import_history(settings: Settings, file: Path) -> None:
    """Bring in the public prices of the past: CSV with product_id, market, at, price and, optionally, reference_price.

    They count for the lowest price before a reduction. One wrong row refuses the file. The lowest
    prices of reductions in force are found again.
    """
    with click.open_file(str(file), encoding="utf-8-sig") as lines, writing(settings) as conn:
        stored, product_ids = imported_prices.store(conn, imported_prices.read(lines, datetime.now(UTC)))
        lowest_prices.forget(conn, product_ids, Cause("import", str(uuid4())))
    print_line(f"{plural(stored, 'price')} imported", out)


def _show(found: PublicPrices, since: datetime, limit: int) -> None:
    rows = table("from (UTC)", "public price", "before the reduction", "reduction")
    for row in [row for row in reversed(found.rows) if row.at >= since][:limit]:
        reference = "" if row.reference is None else f"{row.reference} {found.currency}"
        at, price = f"{row.at.astimezone(UTC):%F %T}", f"{row.price} {found.currency}"
        add_row(rows, at, price, reference, row.reduction or "")
    out.print(rows, soft_wrap=False)
    if (low := found.lowest) is None:
        print_line("no reduction is in force", out)
    elif low.price is None:
        print_line("no price is known from before the reduction", out)
    else:
        off = share_off(low.price, found.rows[-1].price)
        short = "; the history begins later" if low.insufficient_history else ""
        before = f"{low.before.astimezone(UTC):%F %T} UTC"
        print_line(f"lowest price in the {found.days} days before {before}: {low.price} {found.currency}{short}", out)
        print_line(f"the price is {off:%} below it", out)


def _utc(at: datetime | None) -> datetime | None:
    return at and at.replace(tzinfo=UTC)
