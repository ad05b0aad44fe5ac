"""Plans: `just plan`, `just apply`."""

from pathlib import Path
from uuid import UUID

import click
import msgspec

from shared.access import audit
from shared.commands import document_files, plan_progress, plan_report
from shared.commands.terminal import Id, add_row, connection, out, print_line, table, writing
from shared.importing import plan_items
from shared.jobs import tasks
from shared.plans import making, store, views
from shared.plans.requested import NewPlan
from shared.plans.store import Author
from shared.plans.views import PlanView
from shared.printable import printable
from shared.settings import Settings

# Redecided prices that are listed; the API lists all.
REDECIDED = 20
PLAN_ID = click.argument("plan_id", type=Id("just plan"), metavar="PLAN_ID")
JSON = click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")


class PlanGroup(click.Group):
    """Without a command: a plan's id is shown, a file is planned, and nothing lists plans."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert the command that is meant."""
        if not args:
            args = ["list"]
        elif args[0] not in (*self.commands, "--help"):
            args = ["show" if any(map(_is_id, args)) else "make", *args]
        return super().parse_args(ctx, args)


@click.group("plan", cls=PlanGroup)
def plan_command() -> None:
    """Plan changes, and show what they would do: `just plan FILE`. Nothing is changed before `just apply PLAN_ID`.

    `just plan PLAN_ID` shows a plan; `just plan` lists the last ones.
    """


@plan_command.command("make")
@click.argument("file", type=document_files.FILE)
@JSON
@click.pass_obj
def make_plan(settings: Settings, file: Path, *, as_json: bool) -> None:
    """Plan the changes of a FILE, or of standard input: `-`; `just plan FILE` is the same.

    FILE is JSON: the body of POST /api/v1/plans, or a list of changes.
    """
    asked = document_files.read(file, NewPlan, list_of="changes")
    with writing(settings) as conn:
        author = Author(audit.commander(), None)
        made = making.make(conn, asked.changes, author, "", asked.chosen, asked.sample, asked.queries)
        tasks.release(conn, [made.task_id])
    found = plan_progress.reached(settings, made.plan_id, "ready")
    _print(found, as_json=as_json)


@plan_command.command("show")
@PLAN_ID
@JSON
@click.option(
    "--csv",
    "table_file",
    type=click.Path(path_type=Path, allow_dash=True),
    help="Write the prices that move, or are held, to this file instead; `-` is standard output.",
)
@click.pass_obj
def show_plan(settings: Settings, plan_id: UUID, *, as_json: bool, table_file: Path | None) -> None:
    """Show a plan; `just plan PLAN_ID` is the same."""
    if as_json and table_file is not None:
        raise click.UsageError("--json and --csv exclude each other.")
    with connection(settings) as conn:
        found = views.view(conn, plan_id)
        if table_file is None:
            _print(found, as_json=as_json)
            return
        with document_files.written(table_file) as file:
            count = plan_items.write(conn, plan_id, file)
    print_line(f"{count:,} items")


@plan_command.command("list")
@click.option("--limit", default=20, type=click.IntRange(1, 1000), help="The largest number of plans to list.")
@click.pass_obj
def list_plans(settings: Settings, limit: int) -> None:
    """List plans, newest first; `just plan` is the same."""
    with connection(settings) as conn:
        found = views.page(conn, limit, None)
    rows = table("plan", "status", "created", "author", "changes")
    for plan in found:
        kinds = ", ".join(name for change in plan.changes for name in change)
        what = ", ".join(f"undo {name} {value}" for name, value in (plan.undo or {}).items()) or kinds
        add_row(rows, str(plan.plan_id), plan.status, f"{plan.created_at:%F %T}", plan.author, what)
    out.print(rows, soft_wrap=False)


@plan_command.command("discard")
@PLAN_ID
@click.pass_obj
def discard_plan(settings: Settings, plan_id: UUID) -> None:
    """Drop a plan; one that is being made is ended."""
    with writing(settings) as conn:
        store.discard(conn, store.locked(conn, plan_id))
    print_line(f"plan {plan_id} is discarded")


@click.command("apply")
@PLAN_ID
@click.pass_obj
def apply_command(settings: Settings, plan_id: UUID) -> None:
    """Publish a plan: its rulebook is in force at once, its prices follow.

    The exit code is 0 where all is published; 1 otherwise, also where what the plan read changed since.
    """
    plan_progress.check_may_apply(settings)
    found = plan_progress.apply(settings, plan_id)
    if not found.redecided:
        return
    with connection(settings) as conn:
        chosen = views.ItemFilter(redecided=True)
        items = views.items(conn, plan_id, chosen, "product_id", REDECIDED, None)
    rows = table("decided anew", "planned", "published")
    for item in items:
        add_row(rows, item.product_id, str(item.new_price), f"{item.redecided} {item.currency}")
    out.print(rows, soft_wrap=False)


def _print(plan: PlanView, *, as_json: bool) -> None:
    if as_json:
        click.echo(printable(msgspec.json.encode(plan).decode()))
    else:
        plan_report.show(plan)


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
