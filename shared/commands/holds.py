"""Targets that wait for a person: `just holds`."""

from uuid import UUID

import click

from shared.access import audit
from shared.catalogue.product_set import ProductSet
from shared.commands.terminal import Id, add_row, connection, out, print_line, table, writing
from shared.jobs import tasks
from shared.prices import hold_answers, holds
from shared.prices.hold_answers import Answer
from shared.prices.holds import HoldFilter
from shared.pricing.money import round_to
from shared.settings import Settings

REASON = click.option("--reason", required=True, help="The reason, kept with the hold.")
IDS = click.argument("hold_ids", type=Id("just holds"), nargs=-1, required=True, metavar="ID...")


@click.group("holds", invoke_without_command=True)
@click.option("--category", help="Only of this category.")
@click.option("--limit", default=20, type=click.IntRange(1, 1000), help="The largest number of holds to list.")
@click.pass_context
def holds_command(context: click.Context, category: str | None, limit: int) -> None:
    """List targets that wait for a person; `holds approve ID --reason R`, `holds refuse ID --reason R`."""
    if context.invoked_subcommand is not None:
        return
    with connection(context.obj) as conn:
        found = holds.page(conn, "open", HoldFilter(category=category), limit, None)
    rows = table("hold", "product", "price", "target", "code", "since", "reason")
    for hold in found:
        prices = (f"{round_to(each, hold.currency)} {hold.currency}" for each in (hold.price, hold.target))
        add_row(rows, str(hold.hold_id), hold.product_id, *prices, hold.code, f"{hold.since:%F %T}", hold.reason)
    out.print(rows, soft_wrap=False)


@holds_command.command("approve")
@IDS
@REASON
@click.pass_obj
def approve_holds(settings: Settings, hold_ids: tuple[UUID, ...], reason: str) -> None:
    """Publish the targets of holds, limited by the bounds only; with four eyes those that no key is behind."""
    with writing(settings) as conn:
        found, repriced = hold_answers.approve(
            conn, hold_ids, Answer(reason, audit.commander(), four_eyes=settings.four_eyes)
        )
        if repriced.changed:
            tasks.create(conn, "cache_sync", ProductSet(product_ids=repriced.changed), "")
    print_line(f"{len(found)} approved")


@holds_command.command("refuse")
@IDS
@REASON
@click.pass_obj
def refuse_holds(settings: Settings, hold_ids: tuple[UUID, ...], reason: str) -> None:
    """Keep the prices of holds until the next decision."""
    with writing(settings) as conn:
        found = hold_answers.refuse(conn, hold_ids, Answer(reason, audit.commander()))
    print_line(f"{len(found)} refused")
