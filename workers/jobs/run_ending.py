"""The end of a run: its result, its lock, and the follow-up that waited for it."""

import structlog

from shared.jobs import merging, partitions
from shared.jobs import views as task_views
from shared.jobs.tasks import RunningTask
from shared.plans import endings
from shared.telemetry import spans
from shared.telemetry.metrics import RUN_DURATION
from workers.services import Services

log = structlog.get_logger(__name__)


def end(services: Services, task: RunningTask) -> bool:
    """End a run if no partition is left, and enqueue the follow-up; returns whether it has ended here."""
    with services.pool.connection() as conn:
        ended = partitions.end(conn, task.task_id)
        if ended == "succeeded" and task.kind in ("plan", "apply"):
            endings.end(conn, task)
    if ended is None:
        return False
    spans.annotate(task_id=str(task.task_id), outcome=ended)
    if task.kind != "recalculation":
        log.info("run done", kind=task.kind, task_id=str(task.task_id), status=ended)
        return True
    services.lock.release(task.task_id, attempt=None)
    with services.pool.connection() as conn:
        RUN_DURATION.observe(task_views.duration_s(conn, task.task_id))
    log.info("recalculation done", task_id=str(task.task_id), status=ended)
    enqueue_follow_up(services)
    return True


def enqueue_follow_up(services: Services) -> None:
    """Enqueue the follow-up that was requested while a recalculation ran, unless one runs again."""
    with services.pool.connection() as conn:
        task_id = merging.claim_follow_up(conn)
    if task_id is not None:
        services.enqueue.task("recalculation", task_id)
