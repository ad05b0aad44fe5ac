"""Recalculations: one at a time, in batches, going on where an earlier attempt ended."""

from datetime import UTC, datetime
from uuid import UUID

import structlog
from dramatiq_abort import Abort

from shared.catalogue import follow_ups, policies, prices, products, signals, tasks
from shared.catalogue.database import Conn
from shared.catalogue.prices import Cause, Repriced, StoredSheet
from shared.catalogue.tasks import Busy, RunningTask
from shared.feed import FeedQuote
from shared.metrics import DECISIONS, PRICES_CHANGED
from workers.services import Services

log = structlog.get_logger(__name__)

BATCH = 500


def run(services: Services, task_id: UUID) -> None:
    """Run a recalculation, unless it has ended, is held by another worker, or another one includes it.

    Raises:
        Abort: its abort was asked for.
        Unavailable: something is away; what is done stays done, the next attempt goes on behind it.
    """
    with services.pool.connection() as conn:
        if follow_ups.skip_if_covered(conn, task_id):
            log.info("recalculation skipped, a later one includes it", task_id=str(task_id))
            return
    task = _claim(services, task_id)
    if task is None:
        return
    log.info("recalculation runs", task_id=str(task_id), attempt=task.attempt)
    try:
        _decide_all(services, task)
    finally:
        services.lock.release(task_id)
    ring_follow_up(services)


def ring_follow_up(services: Services) -> None:
    """Ring for what was asked for while a recalculation ran."""
    with services.pool.connection() as conn:
        task_id = follow_ups.claim_follow_up(conn)
    if task_id is not None:
        services.doorbell.task("recalculation", task_id)


def _claim(services: Services, task_id: UUID) -> RunningTask | None:
    """Take the lock, which refuses fast, and the claim, which counts; None where another one runs."""
    if not services.lock.acquire(task_id):
        if _skipped(services, task_id):
            return None
        # Nothing runs: whoever left the lock behind is dead.
        services.lock.acquire(task_id, force=True)
    try:
        with services.pool.connection() as conn:
            return tasks.start(conn, task_id)
    except Busy:
        services.lock.release(task_id)
        _skipped(services, task_id)
        return None


def _skipped(services: Services, task_id: UUID) -> bool:
    with services.pool.connection() as conn:
        skipped = follow_ups.skip_into_follow_up(conn, task_id)
    if skipped:
        log.info("recalculation skipped, another one runs", task_id=str(task_id))
    return skipped


def _decide_all(services: Services, task: RunningTask) -> None:
    with services.pool.connection() as conn:
        _advance(conn, task, total=tasks.scope_size(conn, task.scope))
    cursor = task.cursor
    while batch := _next(services, task, cursor):
        services.lock.renew(task.task_id)
        # The feed is asked before any row is locked.
        quotes = services.feed.quotes(batch)
        repriced = _decide(services, task, batch, quotes)
        services.writer.put(_to_put(task, repriced))
        cursor = batch[-1]
        with services.pool.connection() as conn:
            _advance(conn, task, done=len(batch), changed=len(repriced.changed), cursor=cursor)
    with services.pool.connection() as conn:
        tasks.succeed(conn, task)
    log.info("recalculation done", task_id=str(task.task_id))


def _next(services: Services, task: RunningTask, cursor: str) -> list[str]:
    with services.pool.connection() as conn:
        return tasks.next_products(conn, task.scope, cursor, BATCH)


def _decide(services: Services, task: RunningTask, batch: list[str], quotes: list[FeedQuote]) -> Repriced:
    with services.pool.connection() as conn:
        _note_quotes(conn, quotes)
        repriced = prices.reprice(conn, batch, policies.active(conn), Cause("task", str(task.task_id)))
    DECISIONS.labels("task").inc(len(repriced.sheets))
    PRICES_CHANGED.labels("task").inc(len(repriced.changed))
    return repriced


def _note_quotes(conn: Conn, quotes: list[FeedQuote]) -> None:
    now = datetime.now(UTC)
    # In the order of the ids, as every writer of several products locks them.
    for quote in sorted(quotes, key=lambda quote: quote.product_id):
        if products.lock(conn, quote.product_id):
            signals.apply(conn, quote, "feed", min(quote.time or now, now), "feed")


def _to_put(task: RunningTask, repriced: Repriced) -> list[StoredSheet]:
    """What changed; after an attempt that died, all: it may have written a price and not put it."""
    put = repriced.changed if task.attempt == 1 else repriced.sheets
    return [repriced.sheets[product_id] for product_id in put]


def _advance(
    conn: Conn,
    task: RunningTask,
    *,
    done: int = 0,
    changed: int = 0,
    cursor: str | None = None,
    total: int | None = None,
) -> None:
    if not tasks.advance(conn, task, done=done, changed=changed, cursor=cursor, total=total):
        raise Abort("the abort was asked for, or another worker took over")
