"""The partition of a recalculation: the feed's quotes are noted, its products decided, and their sheets put."""

import structlog

from shared.catalogue import products
from shared.errors import LeaseLost, LockLost
from shared.jobs import partitions
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
from shared.telemetry.metrics import DECISIONS, LOCK_LOSSES, PARTITION_PRODUCTS, PRICES_CHANGED, stage
from shared.telemetry.tracing import tracer
from workers.jobs.partitions import Outcome
from workers.services import Services

log = structlog.get_logger(__name__)


def step(services: Services, run: RunningTask, partition: Partition) -> Outcome:
    """Decide the products of a partition."""
    _renew_lock(services, run)
    with tracer.start_as_current_span("write prices"):
        repriced = _decide(services, run, partition)
    return put(services, partition, repriced)


def put(services: Services, partition: Partition, repriced: Repriced) -> Outcome:
    """Put the sheets of a partition after the commit; its decisions are counted when it ends."""
    with stage("put"), tracer.start_as_current_span("put and announce"):
        services.writer.put(_to_put(partition, repriced))

    def count(_: Conn) -> None:
        DECISIONS.labels("task").inc(len(repriced.sheets))
        PRICES_CHANGED.labels("task").inc(len(repriced.changed))
        PARTITION_PRODUCTS.observe(len(repriced.sheets))

    return Outcome(len(repriced.sheets) + len(repriced.failed), len(repriced.changed), repriced.failed, count)


def _renew_lock(services: Services, run: RunningTask) -> None:
    """Renew the lock, which only saves queries: the claim in PostgreSQL decides. A lost lock is taken back by force."""
    try:
        services.lock.renew(run.task_id, run.attempt)
    except LockLost:
        if not services.lock.acquire(run.task_id, run.attempt, force=True):
            raise LeaseLost("a later attempt of the run holds the lock") from None
        LOCK_LOSSES.inc()
        log.warning("lock lost, taken back", task_id=str(run.task_id))


def _decide(services: Services, run: RunningTask, partition: Partition) -> Repriced:
    quotes = _quotes(services, partition)
    with services.pool.connection() as conn:
        _note_quotes(conn, quotes)
        cause = Cause("task", str(partition.task_id), is_retry=partition.attempt > 1, key_ids=run.key_ids)
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
