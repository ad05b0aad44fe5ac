"""The end of the runs that make and apply plans, in the transaction that ends their task."""

from shared.jobs.tasks import RunningTask
from shared.plans import store
from shared.plans.sums import result_of
from shared.postgres.pools import Conn


def end(conn: Conn, task: RunningTask) -> None:
    """Make a plan ready, or note that it is applied."""
    plan = store.of_task(conn, task.task_id)
    if task.kind == "apply":
        store.end_application(conn, plan)
    else:
        store.make_ready(conn, plan, result_of(store.sums(conn, plan)))
