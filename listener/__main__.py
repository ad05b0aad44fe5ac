"""`python -m listener`: the composition root, and the signals that end it."""

import os
import signal
import socket
import sys
import threading
from contextlib import ExitStack
from datetime import UTC, datetime
from uuid import uuid4

import structlog
from prometheus_client import REGISTRY

from listener.backlog import Backlog
from listener.change_clock import ChangeClock
from listener.epoch_watch import EpochWatch
from listener.inbox import Inbox
from listener.loop import Loop
from listener.subscriber import Subscriber
from listener.sweep import Sweep
from shared import VERSION
from shared.access.key_metrics import FormerAdminKeys
from shared.changes.webhook_metrics import Webhooks
from shared.jobs import feed_pulls
from shared.jobs import retention as jobs
from shared.jobs.backlog_metrics import BacklogMetrics
from shared.market_events import retention as market_events
from shared.market_events.signal_metrics import SignalAges
from shared.messaging import clients
from shared.messaging.channel import MARKET_EVENTS
from shared.messaging.messages import Enqueuer
from shared.messaging.queue_metrics import Messages
from shared.messaging.subscription import Subscription
from shared.plans import retention as plans
from shared.postgres import clock, partitions, pools
from shared.postgres.pools import Conn
from shared.prices.automation_metrics import Automation
from shared.processes import prepare_structs
from shared.rulebook import retention as rulebook
from shared.settings import InvalidSettings, Settings, load
from shared.telemetry import heartbeats, logs, metrics_server, tracing
from shared.telemetry.exposition import CachedCollector

PROCESS = "pricing-listener"
# The greatest age of the queues' figures; a scrape that finds them older reads PostgreSQL and Redis.
MAX_AGE_S = 3.0
# A listener is ready while all of these succeed.
LOOPS = ("work", "channel", "changes", "clock")

log = structlog.get_logger(__name__)


def main() -> None:
    """Run until SIGTERM."""
    try:
        settings = load()
        pools.check_pooler(settings)
    except InvalidSettings as error:
        sys.exit(str(error))
    logs.configure(PROCESS, settings)
    prepare_structs()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    _run(settings, stop)


def _run(settings: Settings, stop: threading.Event) -> None:
    with ExitStack() as stack:
        stack.callback(tracing.configure(PROCESS, settings).shutdown)
        pool = pools.pool(settings, PROCESS, size=4)
        pool.open(wait=False)
        stack.callback(pool.close)
        watched = stack.enter_context(clock.watched(pool))
        clients.warn_of_shared_database(settings)
        queue = clients.client(settings.redis_for("broker"), PROCESS)
        stack.callback(queue.close)
        cache = clients.sheets_client(settings.redis_for("cache"), PROCESS)
        stack.callback(cache.close)
        events = clients.client(settings.redis_for("events"), PROCESS)
        stack.callback(events.close)
        for collector in (
            BacklogMetrics(pool),
            Automation(pool),
            SignalAges(pool),
            Messages(queue),
            FormerAdminKeys(pool),
            Webhooks(pool),
        ):
            REGISTRY.register(CachedCollector(collector, MAX_AGE_S))
        server = metrics_server.start(settings.host, settings.listener_metrics_port, lambda: heartbeats.health(LOOPS))
        stack.callback(server.shutdown)
        log.info("listening", channel=MARKET_EVENTS, version=VERSION)
        backlog = Backlog()
        holder = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"

        def maintain() -> None:
            partitions.maintain(pool, settings, datetime.now(UTC))

        def pull() -> None:
            if settings.feed_every_s:
                with pool.connection() as conn:
                    feed_pulls.request(conn, settings.feed_every_s)

        def purge(conn: Conn, limit: int) -> int:
            return max(
                plans.purge(conn, limit, settings.plan_days),
                market_events.purge(conn, limit, settings.events_days),
                jobs.purge(conn, limit, settings.tasks_days),
                rulebook.purge(conn, limit, settings.history_days),
            )

        sweep, epoch = Sweep(pool, Enqueuer(queue)), EpochWatch(pool, cache)
        loop = Loop(pool, holder, backlog, Inbox(pool, watched.now), sweep, epoch, maintain, pull, purge)
        subscriber = Subscriber(Subscription(events, MARKET_EVENTS), backlog, when_up=loop.sweep_soon)
        reading = threading.Thread(target=subscriber.run, args=(stop,), name="subscriber")
        clock_of_changes = ChangeClock(pool, Enqueuer(queue), lambda: loop.is_active)
        numbering = threading.Thread(target=clock_of_changes.run, args=(stop,), name="changes")
        for thread in (reading, numbering):
            thread.start()
        loop.run(stop)
        for thread in (reading, numbering):
            thread.join()
    log.info("ended")


if __name__ == "__main__":
    main()
