"""Partitions of a run, whatever its kind: a worker takes one after the other until none waits."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import structlog
from dramatiq.middleware import Interrupt
from opentelemetry.instrumentation.utils import suppress_instrumentation

from shared.catalogue.failures import ProductFailure
from shared.errors import LeaseLost
from shared.jobs import partitions, tasks
from shared.jobs.partitions import Partition
from shared.jobs.tasks import RunningTask
from shared.postgres.pools import Conn
from shared.telemetry.metrics import STALE_WRITES, stage
from shared.telemetry.tracing import tracer
from workers.jobs import run_ending
from workers.services import Services

log = structlog.get_logger(__name__)

JOIN_EVERY_S = 1.0
# A message works this long and is then enqueued again, so that no run outlasts the time limit of a message.
MESSAGE_S = 60.0
# With one of these statuses of the run, a partition that this worker lost was taken over by another one.
TAKEN_OVER = ("running", "succeeded")
HANDOVER_S = 5.0


class Outcome(NamedTuple):
    """What became of a partition.

    Attributes:
        done: The number of its products, the failed ones included.
        finish: Called in the transaction that ends the partition; where that one fails, nothing of it stays.
    """

    done: int
    changed: int
    failed: Sequence[ProductFailure] = ()
    finish: Callable[[Conn], None] = lambda _: None


# The work on one partition, by the kind of the run.
Step = Callable[[Services, RunningTask, Partition], Outcome]


def work(
    services: Services, task: RunningTask, step: Step, *, is_claimant: bool = False, most_s: float = MESSAGE_S
) -> bool:
    """Take partitions until none waits, or for a minute; end the run with its last one.

    A process works on two partitions at a time, on two of its threads. The other threads serve events.

    Args:
        services: Of this process.
        task: The run.
        step: The work on one partition.
        is_claimant: This message has just claimed the run: wait for a thread that is still busy with the previous run.
        most_s: No partition is taken after this many seconds.

    Returns:
        Whether the time was over and partitions may be left: the message is to be enqueued again.
    """
    if not services.partition_slots.acquire(timeout=HANDOVER_S if is_claimant else 0):
        return False
    is_over = False
    try:
        is_over = _take_all(services, task, step, time.monotonic() + most_s)
    except LeaseLost as lost:
        log.warning("work taken over", task_id=str(task.task_id), reason=str(lost))
    finally:
        services.partition_slots.release()
    return not run_ending.end(services, task) and is_over


def _take_all(services: Services, task: RunningTask, step: Step, until: float) -> bool:
    """Take partitions until none waits, the process stops or the time is over; returns whether the time is over."""
    is_over = False
    recruiter = _Recruiter(services, task)
    with services.pool.connection() as conn:
        partition = partitions.take(conn, task)
    while partition is not None:
        with _released(services, partition):
            if partition.attempt == 1:
                recruiter.enqueue()
            with _span(partition):
                outcome = step(services, task, partition)
                recruiter.enqueue()
                with stage("commit"), services.pool.connection() as conn:
                    partitions.finish(conn, partition, outcome.done, outcome.changed, outcome.failed)
                    outcome.finish(conn)
                    is_over = time.monotonic() >= until
                    following = None if is_over or services.stopping.is_set() else partitions.take(conn, task)
        partition = following
    if services.stopping.is_set():
        services.enqueue.task(task.kind, task.task_id)
        return False
    return is_over


@contextmanager
def _span(partition: Partition) -> Iterator[None]:
    """Trace the partition without its SQL statements: a thousand partitions would have 20,000."""
    attributes: dict[str, str | int] = {
        "pricing.task_id": str(partition.task_id),
        "pricing.partition": partition.number,
        "pricing.attempt": partition.attempt,
    }
    with tracer.start_as_current_span("partition", attributes=attributes), suppress_instrumentation():
        yield


@contextmanager
def _released(services: Services, partition: Partition) -> Iterator[None]:
    """On failure release the partition; if another worker already holds it, count a stale write.

    Raises:
        LeaseLost: in place of any error of a worker that has lost the partition. Such a worker completes nothing.
    """
    try:
        yield
    except BaseException as error:
        with services.pool.connection() as conn:
            is_lost = not partitions.release(conn, partition)
            if is_lost and tasks.status(conn, partition.task_id) in TAKEN_OVER:
                STALE_WRITES.inc()
                log.warning("stale write refused", task_id=str(partition.task_id), partition=partition.number)
        if is_lost and isinstance(error, Exception | Interrupt):
            raise LeaseLost(f"this worker has lost partition {partition.number}") from error
        raise


class _Recruiter:
    """Enqueues a message for one more worker while partitions wait: once at the start, then every second.

    A partition that failed before recruits nobody until it is decided: others would meet the same error.
    """

    def __init__(self, services: Services, task: RunningTask) -> None:
        self._services, self._task = services, task
        self._enqueued_at = float("-inf")

    def enqueue(self) -> None:
        now = time.monotonic()
        if now - self._enqueued_at < JOIN_EVERY_S:
            return
        self._enqueued_at = now
        with self._services.pool.connection() as conn:
            waiting = partitions.waiting(conn, self._task.task_id)
        if waiting:
            self._services.enqueue.join_run(self._task.task_id)
