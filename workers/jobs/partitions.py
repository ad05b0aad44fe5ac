"""Partitions of a run: a worker takes one after the other until none waits."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from dramatiq.middleware import Interrupt
from opentelemetry.instrumentation.utils import suppress_instrumentation

from shared.catalogue import products
from shared.errors import LeaseLost, LockLost
from shared.jobs import partitions, tasks
from shared.jobs.partitions import Partition
from shared.jobs.tasks import RunningTask
from shared.market_events import signals
from shared.market_events.feed import FeedQuote
from shared.market_events.signals import SignalUpdate
from shared.postgres import clock
from shared.postgres.pools import Conn
from shared.prices import inputs, published
from shared.prices.new_versions import Cause, StoredSheet
from shared.prices.published import Repriced
from shared.rulebook import store as rulebook
from shared.telemetry.metrics import (
    DECISIONS,
    LOCK_LOSSES,
    PARTITION_PRODUCTS,
    PRICES_CHANGED,
    STALE_WRITES,
    stage,
)
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


def work(services: Services, task: RunningTask, *, is_claimant: bool = False, most_s: float = MESSAGE_S) -> bool:
    """Take partitions until none waits, or for a minute; end the run with its last one.

    A process works on two partitions at a time, on two of its threads. The other threads serve events.

    Args:
        services: Of this process.
        task: The run.
        is_claimant: This message has just claimed the run: wait for a thread that is still busy with the previous run.
        most_s: No partition is taken after this many seconds.

    Returns:
        Whether the time was over and partitions may be left: the message is to be enqueued again.
    """
    if not services.partition_slots.acquire(timeout=HANDOVER_S if is_claimant else 0):
        return False
    is_over = False
    try:
        is_over = _take_all(services, task, time.monotonic() + most_s)
    except LeaseLost as lost:
        log.warning("work taken over", task_id=str(task.task_id), reason=str(lost))
    finally:
        services.partition_slots.release()
    return not run_ending.end(services, task) and is_over


def _take_all(services: Services, task: RunningTask, until: float) -> bool:
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
                _renew_lock(services, task)
                with tracer.start_as_current_span("write prices"):
                    repriced = _decide(services, partition)
                recruiter.enqueue()
                with stage("put"), tracer.start_as_current_span("put and announce"):
                    services.writer.put(_to_put(partition, repriced))
                with stage("commit"), services.pool.connection() as conn:
                    done = len(repriced.sheets) + len(repriced.failed)
                    partitions.finish(conn, partition, done, len(repriced.changed), repriced.failed)
                    is_over = time.monotonic() >= until
                    following = None if is_over or services.stopping.is_set() else partitions.take(conn, task)
        _count(repriced)
        partition = following
    if services.stopping.is_set():
        services.enqueue.task("recalculation", task.task_id)
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


def _renew_lock(services: Services, task: RunningTask) -> None:
    """Renew the lock, which only saves queries: the claim in PostgreSQL decides. A lost lock is taken back by force."""
    try:
        services.lock.renew(task.task_id, task.attempt)
    except LockLost:
        if not services.lock.acquire(task.task_id, task.attempt, force=True):
            raise LeaseLost("a later attempt of the run holds the lock") from None
        LOCK_LOSSES.inc()
        log.warning("lock lost, taken back", task_id=str(task.task_id))


def _decide(services: Services, partition: Partition) -> Repriced:
    quotes = _quotes(services, partition)
    with services.pool.connection() as conn:
        _note_quotes(conn, quotes)
        cause = Cause("task", str(partition.task_id), is_retry=partition.attempt > 1)
        repriced = published.reprice_selected(conn, partition.products, rulebook.active_policy(conn), cause)
        with stage("commit"):
            # In the transaction of the write: a worker that has lost the partition writes nothing.
            partitions.hold(conn, partition)
            conn.commit()
    return repriced


def _quotes(services: Services, partition: Partition) -> list[FeedQuote]:
    """The feed's quotes of the partition's products; the request is made before any row is locked."""
    if not services.feed.is_configured:
        return []
    with services.pool.connection() as conn:
        product_ids = inputs.ids(conn, partition.products)
    return services.feed.quotes(product_ids)


def _note_quotes(conn: Conn, quotes: list[FeedQuote]) -> None:
    now = clock.now(conn)
    known = products.lock(conn, [quote.product_id for quote in quotes])
    updates = [
        SignalUpdate.of(quote, "feed", min(quote.time or now, now), "feed")
        for quote in quotes
        if quote.product_id in known
    ]
    # The feed may have two quotes of one competitor; the later one counts.
    latest = {update.register: update for update in sorted(updates, key=lambda update: update.occurred_at)}
    signals.apply(conn, list(latest.values()))


def _to_put(partition: Partition, repriced: Repriced) -> list[StoredSheet]:
    """The changed sheets; after a crash all sheets, because the crashed worker may not have put those it wrote."""
    put = repriced.changed if partition.attempt == 1 else repriced.sheets
    return [repriced.sheets[product_id] for product_id in put]


def _count(repriced: Repriced) -> None:
    DECISIONS.labels("task").inc(len(repriced.sheets))
    PRICES_CHANGED.labels("task").inc(len(repriced.changed))
    PARTITION_PRODUCTS.observe(len(repriced.sheets))
