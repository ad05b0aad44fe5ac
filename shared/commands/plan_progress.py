"""The progress of plans: waiting for one that is made, and applying it."""

import time
from contextlib import closing
from uuid import UUID

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from shared.access import audit
from shared.commands.terminal import INTERRUPTED, connection, console, failure, print_line, writing
from shared.jobs import tasks
from shared.messaging import clients
from shared.messaging.channel import announce_rulebook
from shared.plans import application, store, views
from shared.plans.views import PlanStatus, PlanView
from shared.rulebook.store import By
from shared.settings import Settings

POLL_S = 0.2


def check_may_apply(settings: Settings) -> None:
    """Refuse a command that applies plans where another key than the author's must."""
    if settings.four_eyes:
        raise failure("PRICING_FOUR_EYES: another key must apply it, by POST /api/v1/plans/{plan_id}/apply")


def apply(settings: Settings, plan_id: UUID) -> PlanView:
    """Apply a plan, wait for its end with a progress bar, and print how it ended.

    Raises:
        ClickException: it is not ready, its inputs changed, or its job failed.
    """
    with writing(settings) as conn:
        by = By(audit.commander(), f"plan {plan_id}")
        begun = application.begin(conn, store.locked(conn, plan_id), by, "")
    if begun.is_new or begun.values_version is not None:
        with closing(clients.client(settings.redis_for("events"), "pricing-catalogue")) as events:
            announce_rulebook(events, begun.made.version if begun.is_new else None, begun.values_version)
    found = reached(settings, plan_id, "applied")
    print_line(f"plan {plan_id} is applied; {found.redecided:,} prices were decided anew")
    return found


def reached(settings: Settings, plan_id: UUID, status: PlanStatus) -> PlanView:
    """Wait for a plan to have a status, with a progress bar; Ctrl-C ends the waiting alone.

    Raises:
        ClickException: it ends otherwise.
    """
    try:
        return _waited(settings, plan_id, status)
    except KeyboardInterrupt:
        discard = f"; `just plan discard {plan_id}` ends it" if status == "ready" else ""
        print_line(f"it goes on by itself: `just plan {plan_id}` shows it{discard}")
        raise click.exceptions.Exit(INTERRUPTED) from None


def _waited(settings: Settings, plan_id: UUID, status: PlanStatus) -> PlanView:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        line = bar.add_task("waiting", total=None)
        while True:
            with connection(settings) as conn:
                found = views.view(conn, plan_id)
                ended = found.apply_task_id is not None and tasks.status(conn, found.apply_task_id)
            bar.update(line, description=found.status, completed=found.progress.done, total=found.progress.total)
            if found.status == status:
                return found
            stopped = found.status == "applying" and ended in ("failed", "aborted")
            if stopped or found.status in ("failed", "aborted", "discarded"):
                reason = f": {found.error.type}: {found.error.message}" if found.error else ""
                how = f"put in force, but its job {ended}" if stopped else found.status
                raise failure(f"plan {plan_id} is {how}{reason}")
            time.sleep(POLL_S)
