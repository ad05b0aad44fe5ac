"""One more worker for a run of any kind that another worker has split."""

from uuid import UUID

from shared.jobs import tasks
from workers.jobs import partitions, plans, repricing
from workers.jobs.partitions import MESSAGE_S, Step
from workers.services import Services

STEPS: dict[str, Step] = {"recalculation": repricing.step, "plan": plans.make_part, "apply": plans.apply_part}


def join(services: Services, task_id: UUID, most_s: float = MESSAGE_S) -> None:
    """Take partitions of a run, if it still runs."""
    services.claim.task = None
    with services.pool.connection() as conn:
        task = tasks.running(conn, task_id)
    if task is not None and task.total is not None:
        services.claim.task = task
        if partitions.work(services, task, STEPS[task.kind], most_s=most_s):
            services.enqueue.join_run(task_id)
