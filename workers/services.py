"""The worker's composition root: its clients and services, built once in each worker process."""

import threading
from contextlib import ExitStack
from uuid import UUID

import msgspec
import redis
from opentelemetry.sdk.trace import TracerProvider

from shared import addresses
from shared.cache.commands import SyncCache
from shared.cache.writer import SheetWriter
from shared.changes.sending import WebhookSender
from shared.jobs.tasks import RunningTask
from shared.market_events.feed import MarketDataFeed
from shared.messaging import clients
from shared.messaging.lock import RecalculationLock
from shared.messaging.messages import Enqueuer
from shared.plans.proposal import Proposals
from shared.postgres import clock, pools
from shared.postgres.pools import Pool
from shared.settings import Settings

PROCESS = "pricing-worker"
# Partitions of a run that a process works on at once. While one waits for PostgreSQL, the other computes. The remaining
# threads serve events.
PARTITION_SLOTS = 2
# Calls of webhooks that a process makes at once.
WEBHOOK_SLOTS = 2


class Claim(threading.local):
    """The task that this thread works on.

    A job sets it as soon as it has started or joined a task. The completion of a failed attempt writes the row of that
    attempt only.

    Attributes:
        task: None: this thread has not started its message's task.
    """

    task: RunningTask | None = None

    def attempt_of(self, task_id: UUID) -> int | None:
        """The attempt in which this thread works on a task; None: it does not."""
        return self.task.attempt if self.task is not None and self.task.task_id == task_id else None


class Services(msgspec.Struct, frozen=True):
    """The clients and services that jobs use.

    Attributes:
        pool: PostgreSQL.
        queue: Redis of the queues, for the broker and for aborts; not traced, because it is polled.
        writer: Puts and announces sheets.
        lock: One recalculation at a time.
        claim: The task that the calling thread works on.
        feed: The market-data feed.
        proposals: The plans that runs of this process make or apply.
        enqueue: Sends messages to the queues.
        partition_slots: Held by the threads of this process that work on a run's partitions.
        webhook_slots: Held by the threads of this process that call webhooks.
        webhook_sender: Calls webhooks.
        stopping: Set when the process shuts down: no further partition is taken.
        watches: Ends the threads that watch something.
    """

    settings: Settings
    tracing: TracerProvider
    pool: Pool
    cache: SyncCache
    events: redis.Redis
    queue: redis.Redis
    writer: SheetWriter
    lock: RecalculationLock
    claim: Claim
    feed: MarketDataFeed
    proposals: Proposals
    enqueue: Enqueuer
    partition_slots: threading.BoundedSemaphore
    webhook_slots: threading.BoundedSemaphore
    webhook_sender: WebhookSender
    stopping: threading.Event
    watches: ExitStack

    def close(self) -> None:
        """Close everything, in the reverse order of `build`."""
        self.watches.close()
        self.feed.close()
        for client in (self.queue, self.events, self.cache):
            client.close()
        self.pool.close()
        self.tracing.shutdown()


def build(settings: Settings, tracing: TracerProvider) -> Services:
    """Build the services; no server needs to be up yet."""
    pool = pools.pool(settings, PROCESS, size=settings.worker_threads + 2)
    pool.open(wait=False)
    watches = ExitStack()
    watches.enter_context(clock.watched(pool))
    clients.warn_of_shared_database(settings)
    cache = clients.sheets_client(settings.redis_for("cache"), PROCESS)
    events = clients.client(settings.redis_for("events"), PROCESS)
    queue = clients.client(settings.redis_for("broker"), PROCESS)
    for client in (cache, events):
        clients.trace(client, tracing)
    return Services(
        settings=settings,
        tracing=tracing,
        pool=pool,
        cache=cache,
        events=events,
        queue=queue,
        writer=SheetWriter(cache, events, settings.cache_ttl_s, pool),
        lock=RecalculationLock(cache),
        claim=Claim(),
        feed=MarketDataFeed(settings.feed_url, settings.feed_timeout_s, settings.feed_key),
        proposals=Proposals(),
        enqueue=Enqueuer(queue),
        partition_slots=threading.BoundedSemaphore(PARTITION_SLOTS),
        webhook_slots=threading.BoundedSemaphore(WEBHOOK_SLOTS),
        webhook_sender=WebhookSender(addresses.networks(settings.webhook_networks)),
        stopping=threading.Event(),
        watches=watches,
    )
