"""The messages to the workers, as their senders build them; the actors are in `workers.actors`.

A message only names a target or a task: the work itself is in PostgreSQL. Its options carry the sender's
`traceparent` and `tracestate`, which Dramatiq's retries keep.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import redis
from dramatiq import Message
from dramatiq.message import generate_unique_id
from dramatiq_abort import abort
from opentelemetry.trace import SpanKind

from shared.messaging import broker
from shared.telemetry import propagation, spans
from shared.telemetry.tracing import tracer

EVENTS_QUEUE, TASKS_QUEUE = broker.EVENTS_QUEUE, broker.TASKS_QUEUE

REPRICE_PRODUCTS = "reprice_products"
CHANGE_MARKET = "change_market"
JOIN_RUN = "join_run"
DELIVER_WEBHOOK = "deliver_webhook"
TASK_ACTORS = {
    "recalculation": "recalculate",
    "cache_sync": "sync_cache",
    "plan": "make_plan",
    "apply": "apply_plan",
}
ACTORS = {REPRICE_PRODUCTS, CHANGE_MARKET, JOIN_RUN, DELIVER_WEBHOOK, *TASK_ACTORS.values()}


class Enqueuer:
    """Sends messages to the workers' queues."""

    def __init__(self, client: redis.Redis) -> None:
        """An enqueuer on the Redis of the queues; it connects with its first message."""
        self._broker = broker.create(client)
        self._abortable = broker.abortable(client)

    def products(self, product_ids: Sequence[str], delay_ms: int = 0) -> None:
        """Enqueue the repricing of products by their waiting events, to begin after a delay."""
        self._send(EVENTS_QUEUE, REPRICE_PRODUCTS, list(product_ids), delay_ms=delay_ms)

    def market(self, code: str, delay_ms: int = 0) -> None:
        """Enqueue the change of a market by its waiting events, to begin after a delay."""
        self._send(EVENTS_QUEUE, CHANGE_MARKET, code, delay_ms=delay_ms)

    def task(self, kind: str, task_id: UUID) -> None:
        """Enqueue a task. The message has the task's id, by which an abort finds it."""
        self._send(TASKS_QUEUE, TASK_ACTORS[kind], str(task_id), message_id=str(task_id))

    def join_run(self, task_id: UUID) -> None:
        """Enqueue a message by which one more worker takes partitions of a run."""
        self._send(TASKS_QUEUE, JOIN_RUN, str(task_id))

    def webhook(self, webhook_id: str) -> None:
        """Enqueue the delivery of the next changes to a webhook."""
        self._send(EVENTS_QUEUE, DELIVER_WEBHOOK, webhook_id)

    def abort(self, task_id: UUID) -> None:
        """Interrupt the worker that runs a task, and cancel messages for it that still wait."""
        abort(str(task_id), middleware=self._abortable)

    def _send(self, queue: str, actor: str, *args: Any, message_id: str | None = None, delay_ms: int = 0) -> None:
        attributes = spans.messaging("dramatiq", "send", queue) | {"pricing.actor": actor}
        with tracer.start_as_current_span(f"send {queue}", kind=SpanKind.PRODUCER, attributes=attributes) as span:
            message: Message[None] = Message(
                queue_name=queue,
                actor_name=actor,
                args=args,
                kwargs={},
                options=dict(propagation.current()),
                message_id=message_id or generate_unique_id(),
            )
            span.set_attribute("messaging.message.id", message.message_id)
            self._broker.enqueue(message, delay=delay_ms or None)
