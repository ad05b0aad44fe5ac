"""The end of the runs that make and apply plans, in the transaction that ends their task."""

import structlog

from shared.errors import AlreadyEnded, StalePlan
from shared.jobs import tasks
from shared.jobs.tasks import RunningTask
from shared.plans import application, findings, plan_parts, store
from shared.plans.proposal import work_out
from shared.plans.results import result_of
from shared.plans.store import Plan
from shared.postgres.pools import Conn
from shared.rulebook import reductions
from shared.rulebook import store as rulebook
from shared.rulebook.store import By
from shared.telemetry import propagation

log = structlog.get_logger(__name__)


def end(conn: Conn, task: RunningTask) -> None:
    """Make a plan ready, or note that it is applied."""
    plan = store.of_task(conn, task.task_id)
    if task.kind == "apply":
        store.end_application(conn, plan)
        if reductions.has_any(rulebook.active(conn).rulebook):  # it finds the lowest prices
            tasks.create(conn, "recalculation", task.product_set, "")
        return
    total = plan_parts.sums(conn, plan)
    proposal = work_out(conn, plan.changes, plan.rulebook_version, plan.created_at)
    store.make_ready(conn, plan, result_of(total, findings.found(conn, proposal, total)))
    if plan.applies:
        _apply(conn, store.locked(conn, plan.plan_id))


def _apply(conn: Conn, plan: Plan) -> None:
    """Begin the application that was asked for with the plan; a plan that is out of date stays, for a person."""
    try:
        with conn.transaction():
            by = By(plan.author, f"plan {plan.plan_id}")
            application.begin(conn, plan, by, propagation.current()["traceparent"])
    except (AlreadyEnded, StalePlan) as error:
        log.warning("a plan is not applied", plan_id=str(plan.plan_id), reason=str(error))
