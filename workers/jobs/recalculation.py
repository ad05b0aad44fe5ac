"""Recalculations: one run at a time, claimed by one worker, worked on by any number of them."""

from uuid import UUID

import structlog

from shared.jobs import merging, tasks
from shared.jobs.tasks import Busy, RunningTask
from shared.telemetry.metrics import LOCK_REFUSALS
from workers.jobs import repricing, run_ending, runs
from workers.jobs.partitions import MESSAGE_S
from workers.services import Services

log = structlog.get_logger(__name__)


def run(services: Services, task_id: UUID, most_s: float = MESSAGE_S) -> None:
    """Run a recalculation or help with it, unless it has ended or another one includes it.

    After `most_s` seconds no further partition is taken, and the message is enqueued again.

    Raises:
        Unavailable: a server is away; finished partitions stay finished, and the next attempt takes the others.
    """
    services.claim.task = None
    with services.pool.connection() as conn:
        if merging.skip_if_covered(conn, task_id):
            log.info("recalculation skipped, a later one includes it", task_id=str(task_id))
            return
        task = tasks.running(conn, task_id)
    if task is not None and task.total is not None:
        services.claim.task = task
        runs.work(services, task, repricing.step, most_s)
        return
    task = _claim(services, task_id)
    if task is None:
        # The task may have been aborted while it ran, or may have ended.
        run_ending.enqueue_follow_up(services)
        return
    log.info("recalculation runs", task_id=str(task_id), attempt=task.attempt)
    if task.total is None:
        runs.split(services, task)
    runs.work(services, task, repricing.step, most_s, is_claimant=True)


def _claim(services: Services, task_id: UUID) -> RunningTask | None:
    """Take the lock, which refuses fast, then the claim, which decides; None where another recalculation runs."""
    if not services.lock.acquire(task_id):
        LOCK_REFUSALS.inc()
        if _skipped(services, task_id):
            return None
        # No other recalculation runs: the lock was left behind by a crash.
        services.lock.acquire(task_id, force=True)
    try:
        with services.pool.connection() as conn:
            task = tasks.start(conn, task_id)
    except Busy:
        services.lock.release(task_id, attempt=0)
        _skipped(services, task_id)
        return None
    if task is None:
        services.lock.release(task_id, attempt=0)
        return None
    services.claim.task = task
    services.lock.acquire(task_id, task.attempt, force=True)
    return task


def _skipped(services: Services, task_id: UUID) -> bool:
    with services.pool.connection() as conn:
        if tasks.status(conn, task_id) == "running":
            return False
        skipped = merging.skip_into_follow_up(conn, task_id)
    if skipped:
        log.info("recalculation skipped, another one runs", task_id=str(task_id))
    return skipped
