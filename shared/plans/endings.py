"""The end of the runs that make and apply plans, in the transaction that ends their task."""

from shared.jobs import tasks
from shared.jobs.tasks import RunningTask
from shared.plans import findings, plan_parts, store
from shared.plans.proposal import work_out
from shared.plans.sums import result_of
from shared.postgres.pools import Conn
from shared.rulebook import reductions
from shared.rulebook import store as rulebook


def end(conn: Conn, task: RunningTask) -> None:
    """Make a plan ready, or note that it is applied."""
    plan = store.of_task(conn, task.task_id)
    if task.kind == "apply":
        store.end_application(conn, plan)
        if reductions.has_any(rulebook.active(conn).rulebook):  # it finds the lowest prices
            tasks.create(conn, "recalculation", task.product_set, "")
    else:
        total = plan_parts.sums(conn, plan)
        proposal = work_out(conn, plan.changes, plan.rulebook_version, plan.created_at)
        store.make_ready(conn, plan, result_of(total, findings.found(conn, proposal, total)))
