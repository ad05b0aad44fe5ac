"""A product's price history: `just history PRODUCT`."""

from datetime import UTC, datetime

import click

from shared.commands.terminal import add_row, connection, out, table
from shared.prices.history import price_changes
from shared.settings import Settings


@click.command("history")
@click.argument("product_id")
@click.option("--since", type=click.DateTime(), help="Only changes from this time on, in UTC.")
@click.option("--until", type=click.DateTime(), help="Only changes before this time, in UTC.")
@click.option("--limit", default=20, type=click.IntRange(1), help="The largest number of changes to list.")
@click.pass_obj
def history_command(
    settings: Settings, product_id: str, since: datetime | None, until: datetime | None, limit: int
) -> None:
    """List the price changes of a product, newest first, with their causes and rulebooks."""
    with connection(settings) as conn:
        found = price_changes(conn, product_id, limit, since=_utc(since), until=_utc(until))
    rows = table("version", "time (UTC)", "price before", "price", "cause", "rulebook", "trace")
    for change in found:
        before = "" if change.old_price is None else f"{change.old_price} {change.currency}"
        price = "deleted" if change.new_price is None else f"{change.new_price} {change.currency}"
        cause = f"{change.cause} {change.cause_id}".strip()
        at = f"{change.at.astimezone(UTC):%F %T}"
        add_row(rows, str(change.version), at, before, price, cause, str(change.rulebook_version), change.trace_id)
    out.print(rows, soft_wrap=False)


def _utc(at: datetime | None) -> datetime | None:
    return at and at.replace(tzinfo=UTC)
