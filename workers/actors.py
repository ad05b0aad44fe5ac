"""The actors: one short function per job, which calls one service."""

from typing import Any
from uuid import UUID

import dramatiq
from dramatiq.actor import ActorDecorator
from dramatiq.broker import Broker
from dramatiq_abort import Abort

from shared.messaging import messages
from shared.messaging.messages import EVENTS_QUEUE, TASKS_QUEUE
from workers.completion import Completion, OnError
from workers.jobs import cache_sync, joining, market_events, plans, recalculation, webhooks
from workers.middleware.outcomes import never
from workers.services import Services

# Dramatiq takes the lowest number first: a free thread takes events before tasks.
TASK_PRIORITY = 10
EVENT_TIME_LIMIT_MS = 60_000
# Far above the minute that a message of a run works, and above any cache sync.
TASK_TIME_LIMIT_MS = 600_000


def register(broker: Broker, services: Services) -> None:
    """Declare every actor on a broker, bound to the services of its process."""
    completion = Completion(services)

    def event_actor(on_error: OnError) -> ActorDecorator:
        return dramatiq.actor(
            broker=broker,
            queue_name=EVENTS_QUEUE,
            time_limit=EVENT_TIME_LIMIT_MS,
            abortable=False,
            on_error=on_error,
        )

    def task_actor(on_error: OnError = completion.task, **options: Any) -> ActorDecorator:
        return dramatiq.actor(
            broker=broker,
            queue_name=TASKS_QUEUE,
            priority=TASK_PRIORITY,
            time_limit=TASK_TIME_LIMIT_MS,
            throws=(Abort,),
            on_error=on_error,
            **options,
        )

    @event_actor(completion.products)
    def reprice_products(product_ids: list[str]) -> None:
        market_events.reprice_products(services, product_ids)

    @event_actor(completion.market)
    def change_market(code: str) -> None:
        market_events.change_market(services, code)

    # Of the events' queue, behind its events. The row has the retries.
    @dramatiq.actor(
        broker=broker,
        queue_name=EVENTS_QUEUE,
        priority=TASK_PRIORITY,
        time_limit=EVENT_TIME_LIMIT_MS,
        abortable=False,
        retry_when=never,
    )
    def deliver_webhook(webhook_id: str) -> None:
        webhooks.deliver(services, webhook_id)

    @task_actor()
    def recalculate(task_id: str) -> None:
        recalculation.run(services, UUID(task_id))

    @task_actor()
    def make_plan(task_id: str) -> None:
        plans.make(services, UUID(task_id))

    @task_actor()
    def apply_plan(task_id: str) -> None:
        plans.apply(services, UUID(task_id))

    # No retries: on an error `completion.join` enqueues the run's own message, which has retries.
    @task_actor(completion.join, abortable=False, retry_when=never)
    def join_run(task_id: str) -> None:
        joining.join(services, UUID(task_id))

    @task_actor(notify_shutdown=True)
    def sync_cache(task_id: str) -> None:
        cache_sync.run(services, UUID(task_id))

    if broker.get_declared_actors() != messages.ACTORS:
        raise RuntimeError(f"no actor for some of {sorted(messages.ACTORS)}")
