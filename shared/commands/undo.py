"""Undo: `just undo`."""

from datetime import datetime
from uuid import UUID

import click
import msgspec

from shared.access import audit
from shared.commands import plan_progress
from shared.commands.instants import INSTANT
from shared.commands.terminal import add_row, connection, out, plural, print_line, table, writing
from shared.jobs import tasks
from shared.plans import undo_making, views
from shared.plans.store import Author
from shared.plans.undo_making import Asked
from shared.plans.views import ItemFilter, PlanView
from shared.printable import printable
from shared.settings import Settings

SHOWN = 20


@click.command("undo")
@click.option("--run", type=click.UUID, help="A recalculation, by its task.")
@click.option("--event", help="A market event, by its id.")
@click.option("--source", help="The event's source, where several have the id.")
@click.option("--plan", type=click.UUID, help="An applied plan.")
@click.option("--import", "import_", type=click.UUID, help="An import of products, or of prices of a list, by its id.")
@click.option("--since", type=INSTANT, help="Everything that automation did since this time, as 2026-11-27T09:00Z.")
@click.option("--apply", "applies", is_flag=True, help="Apply it once it is shown.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
@click.pass_obj
def undo_command(
    settings: Settings,
    run: UUID | None,
    event: str | None,
    source: str | None,
    plan: UUID | None,
    import_: UUID | None,
    since: datetime | None,
    *,
    applies: bool,
    as_json: bool,
) -> None:
    """Plan to take back a run, an event, a plan, an import, or everything since an instant; with --apply do it.

    The exit code is 0 where the plan is made, and with --apply applied; 1 otherwise.
    """
    if applies:
        plan_progress.check_may_apply(settings)
    if sum(one is not None for one in (run, event, plan, import_, since)) != 1:
        raise click.UsageError("Give exactly one of --run, --event, --plan, --import and --since.")
    if source is not None and event is None:
        raise click.UsageError("--source belongs to --event.")
    asked = Asked(run=run, event=event, source=source, plan=plan, import_=import_, since=since)
    with writing(settings) as conn:
        made = undo_making.make(conn, asked, Author(audit.commander(), None), "", settings.history_days)
        tasks.release(conn, [made.task_id])
    found = plan_progress.reached(settings, made.plan_id, "ready")
    if not as_json:
        _show(settings, found, applies=applies)
    if applies:
        found = plan_progress.apply(settings, made.plan_id)
    if as_json:
        click.echo(printable(msgspec.json.encode(found).decode()))


def _show(settings: Settings, found: PlanView, *, applies: bool) -> None:
    with connection(settings) as conn:
        items = views.items(conn, found.plan_id, ItemFilter(), "product_id", SHOWN, None)
    rows = table("product", "market", "price", "after", "undo")
    for item in items:
        after = "–" if item.new_price is None else f"{item.new_price} {item.currency}"
        add_row(rows, item.product_id, item.market or "", str(item.old_price or "–"), after, item.undo or "")
    out.print(rows, soft_wrap=False)
    result = found.result or {}
    counts = [f"{count:,} {name}" for name, count in result["undo"].items()]
    if public := sum(each["products"] for each in result["public"]["markets"]):
        counts.append(f"{plural(public, 'public price')} moved")
    if found.changes:
        counts.append(f"{plural(len(found.changes), 'rule')} taken back")
    print_line(f"plan {found.plan_id}: {', '.join(counts) or 'nothing is left to undo'}", out)
    if len(items) == SHOWN:
        print_line(f"the first {SHOWN}; all of them: just plan {found.plan_id} --csv -", out)
    if counts and not applies:
        print_line(f"nothing is taken back yet; to do it: just apply {found.plan_id}", out)
