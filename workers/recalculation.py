"""Recalculations: one run at a time, claimed by one worker, worked on by any number of them."""

from uuid import UUID

import structlog

from shared.catalogue import follow_ups, runs, tasks
from shared.catalogue.tasks import Busy, RunningTask
from shared.telemetry.metrics import LOCK_REFUSALS
from workers import partitions
from workers.services import Services

log = structlog.get_logger(__name__)


def run(services: Services, task_id: UUID) -> None:
    """Run a recalculation or help with it, unless it has ended or another one includes it.

    Raises:
        Unavailable: something is away; what is done stays done, the next attempt goes on behind it.
    """
    with services.pool.connection() as conn:
        if follow_ups.skip_if_covered(conn, task_id):
            log.info("recalculation skipped, a later one includes it", task_id=str(task_id))
            return
        task = tasks.running(conn, task_id)
    if task is not None and task.total is not None:
        partitions.work(services, task)
        return
    task = _claim(services, task_id)
    if task is None:
        # It may have been aborted while it ran, or have ended.
        ring_follow_up(services)
        return
    log.info("recalculation runs", task_id=str(task_id), attempt=task.attempt)
    if task.total is None:
        with services.pool.connection() as conn:
            runs.split(conn, task)
    partitions.work(services, task, is_claimant=True)


def help_with(services: Services, task_id: UUID) -> None:
    """Take partitions of a run that another worker has split, if it still runs."""
    with services.pool.connection() as conn:
        task = tasks.running(conn, task_id)
    if task is not None and task.total is not None:
        partitions.work(services, task)


def ring_follow_up(services: Services) -> None:
    """Ring for what was asked for while a recalculation ran, unless one runs again."""
    with services.pool.connection() as conn:
        task_id = follow_ups.claim_follow_up(conn)
    if task_id is not None:
        services.doorbell.task("recalculation", task_id)


def _claim(services: Services, task_id: UUID) -> RunningTask | None:
    """Take the lock, which refuses fast, and the claim, which counts; None where another one runs."""
    if not services.lock.acquire(task_id):
        LOCK_REFUSALS.inc()
        if _skipped(services, task_id):
            return None
        # Nothing else runs: whoever left the lock behind is dead.
        services.lock.acquire(task_id, force=True)
    try:
        with services.pool.connection() as conn:
            task = tasks.start(conn, task_id)
    except Busy:
        services.lock.release(task_id)
        _skipped(services, task_id)
        return None
    if task is None:
        services.lock.release(task_id)
    return task


def _skipped(services: Services, task_id: UUID) -> bool:
    with services.pool.connection() as conn:
        if tasks.status(conn, task_id) == "running":
            return False
        skipped = follow_ups.skip_into_follow_up(conn, task_id)
    if skipped:
        log.info("recalculation skipped, another one runs", task_id=str(task_id))
    return skipped
