"""Background jobs: `just tasks`, `just recalculate`."""

import time
from collections.abc import Sequence
from uuid import UUID

import click
from msgspec.structs import replace
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from shared.catalogue import products
from shared.catalogue.product_set import ProductSet
from shared.commands.suggestions import check_category, like_product
from shared.commands.terminal import (
    Id,
    add_row,
    connection,
    console,
    counted,
    failure,
    out,
    plural,
    print_line,
    show,
    table,
    writing,
)
from shared.jobs import tasks
from shared.jobs import views as task_views
from shared.jobs.views import TaskView
from shared.postgres.pools import Conn
from shared.settings import Settings

POLL_S = 0.2


@click.group("tasks", invoke_without_command=True)
@click.option("--failed", "statuses", flag_value="failed", multiple=True, help="Only failed tasks.")
@click.option("--running", "statuses", flag_value="running", multiple=True, help="Only running tasks.")
@click.option("--waiting", "statuses", flag_value="queued", multiple=True, help="Only waiting tasks.")
@click.option("--limit", default=20, type=click.IntRange(1), help="The largest number of tasks to list.")
@click.pass_context
def tasks_command(context: click.Context, statuses: tuple[str, ...], limit: int) -> None:
    """List background jobs, newest first; `tasks show ID`, `tasks replay ID`."""
    if context.invoked_subcommand is not None:
        return
    with connection(context.obj) as conn:
        found, counts = task_views.listed(conn, statuses, limit), task_views.counts(conn)
    rows = table("task", "kind", "status", "progress", "attempts", "created", "error")
    for task in found:
        error = f"{task.error.type}: {task.error.message}" if task.error else ""
        progress = f"{task.progress.done}/{task.progress.total or '?'}"
        if task.result and (failed := task.result.failed):
            progress += f", {failed} failed"
        created = f"{task.created_at:%F %T}"
        add_row(rows, str(task.task_id), task.kind, task.status, progress, str(task.attempts), created, error)
    out.print(rows, soft_wrap=False)
    print_line(counted(counts), out)


@tasks_command.command("show")
@click.argument("task_id", type=Id("just tasks"))
@click.pass_obj
def show_task(settings: Settings, task_id: UUID) -> None:
    """Show a task, with the traceback of its error, and the first 100 products that failed in it."""
    with connection(settings) as conn:
        task, traceback = task_views.view(conn, task_id), task_views.traceback_of(conn, task_id)
    failed = task.result.failed_products if task.result else ()
    if task.result:
        task = replace(task, result=replace(task.result, failed_products=()))
    show(task, TaskView.__struct_fields__, traceback)
    if failed:
        rows = table("failed product", "reason")
        for product in failed:
            add_row(rows, product.product_id, product.reason)
        out.print(rows, soft_wrap=False)


@tasks_command.command("replay")
@click.argument("task_id", type=Id("just tasks"))
@click.pass_obj
def replay_task(settings: Settings, task_id: UUID) -> None:
    """Queue a failed task again; the work that it has done is kept."""
    with writing(settings) as conn:
        task_views.replay(conn, task_id)
    print_line(f"task {task_id} is queued again")


@click.command("recalculate")
@click.option("--product", "product_ids", multiple=True, help="Only this product; may be given several times.")
@click.option("--category", "categories", multiple=True, help="Only this category; may be given several times.")
@click.option("--wait", is_flag=True, help="Show the progress, and wait for the end.")
@click.pass_obj
def recalculate(settings: Settings, product_ids: tuple[str, ...], categories: tuple[str, ...], *, wait: bool) -> None:
    """Decide prices anew: of all products, of some, or of categories.

    With --wait the exit code is 0 for success, 1 otherwise.
    """
    with writing(settings) as conn:
        _check_names(conn, product_ids, categories)
        task_id = tasks.create(conn, "recalculation", ProductSet(product_ids, categories), "")
    click.echo(str(task_id))
    if not wait:
        return
    task = _ended(settings, task_id)
    while task.result and task.result.merged_into:
        print_line(f"another one includes it: {task.result.merged_into}")
        task = _ended(settings, task.result.merged_into)
    if task.status != "succeeded":
        reason = f": {task.error.type}: {task.error.message}" if task.error else ""
        raise failure(f"the recalculation ended {task.status}{reason}")
    assert task.result is not None  # noqa: S101 # a task that succeeded has one
    print_line(f"{plural(task.result.recalculated or 0, 'price')} decided, {task.result.changed or 0:,} changed")
    if failed := task.result.failed:
        print_line(f"{plural(failed, 'product')} failed: just tasks show {task.task_id}")


def _check_names(conn: Conn, product_ids: Sequence[str], categories: Sequence[str]) -> None:
    """Refuse products and categories that there are not: they would be recalculated without a word."""
    known = products.currencies(conn, product_ids)
    if missing := next((product_id for product_id in product_ids if product_id not in known), None):
        raise failure(f"no product {missing!r}{like_product(conn, missing)}")
    for category in categories:
        check_category(conn, category)


def _ended(settings: Settings, task_id: UUID) -> TaskView:
    """Wait for a task to end, with a progress bar; returns the ended task."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as bar:
        line = bar.add_task("waiting", total=None)
        while True:
            with connection(settings) as conn:
                task = task_views.view(conn, task_id)
            bar.update(line, description=task.status, completed=task.progress.done, total=task.progress.total)
            if task.status in tasks.ENDED:
                return task
            time.sleep(POLL_S)
