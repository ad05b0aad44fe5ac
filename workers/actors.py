"""The actors: one short function per job, which calls one service."""

from typing import Any
from uuid import UUID

import dramatiq
from dramatiq.actor import ActorDecorator
from dramatiq.broker import Broker
from dramatiq_abort import Abort

from shared.messaging import messages
from shared.messaging.messages import EVENTS_QUEUE, TASKS_QUEUE
from workers.completion import Completion, Settle
from workers.jobs import cache_sync, market_events, recalculation
from workers.middleware.outcomes import never
from workers.services import Services

# Dramatiq takes the lower number first: a thread that is free goes to an event.
TASK_PRIORITY = 10
EVENT_TIME_LIMIT_MS = 60_000
TASK_TIME_LIMIT_MS = 3_600_000


def register(broker: Broker, services: Services) -> None:
    """Declare every actor on a broker, bound to the services of its process."""
    settle = Completion(services)

    def event_actor(settled: Settle) -> ActorDecorator:
        return dramatiq.actor(
            broker=broker,
            queue_name=EVENTS_QUEUE,
            time_limit=EVENT_TIME_LIMIT_MS,
            abortable=False,
            settle=settled,
        )

    def task_actor(settled: Settle = settle.task, **options: Any) -> ActorDecorator:
        return dramatiq.actor(
            broker=broker,
            queue_name=TASKS_QUEUE,
            priority=TASK_PRIORITY,
            time_limit=TASK_TIME_LIMIT_MS,
            throws=(Abort,),
            settle=settled,
            **options,
        )

    @event_actor(settle.product_events)
    def apply_product_events(product_id: str) -> None:
        market_events.apply_product_events(services, product_id)

    @event_actor(settle.market_events)
    def apply_market_events(code: str) -> None:
        market_events.apply_market_events(services, code)

    @event_actor(settle.recalculation_request)
    def request_recalculation(source: str, event_id: str) -> None:
        market_events.request_recalculation(services, source, event_id)

    @task_actor()
    def recalculate(task_id: str) -> None:
        recalculation.run(services, UUID(task_id))

    # What it meets, the run's own message meets as well, and tries again.
    @task_actor(settle.helper, abortable=False, retry_when=never)
    def join_run(task_id: str) -> None:
        recalculation.join(services, UUID(task_id))

    @task_actor(notify_shutdown=True)
    def sync_cache(task_id: str) -> None:
        cache_sync.run(services, UUID(task_id))

    if broker.get_declared_actors() != messages.ACTORS:
        raise RuntimeError(f"no actor for some of {sorted(messages.ACTORS)}")
