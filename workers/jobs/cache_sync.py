"""Cache syncs: after a write, the sheets of its products are put from PostgreSQL into Redis."""

from uuid import UUID

import structlog

from shared.jobs import endings, tasks
from shared.prices import published
from workers.services import Services

log = structlog.get_logger(__name__)

BATCH = 500


def run(services: Services, task_id: UUID) -> None:
    """Put the current sheets of a task's products; a second run changes nothing.

    A worker whose task was taken over or is to be aborted stops.
    """
    services.claim.task = None
    with services.pool.connection() as conn:
        task = tasks.start(conn, task_id)
    if task is None:
        return
    services.claim.task = task
    ids = list(task.product_set.product_ids)
    for start in range(0, len(ids), BATCH):
        with services.pool.connection() as conn:
            sheets = published.stored_sheets(conn, ids[start : start + BATCH])
        services.writer.put(sheets)
        with services.pool.connection() as conn:
            if not tasks.advance(conn, task, done=len(sheets), total=len(ids)):
                endings.end_aborted(conn, task_id, task.attempt)
                return
    with services.pool.connection() as conn:
        tasks.succeed(conn, task)
    log.info("prices published", task_id=str(task_id), products=len(ids))
