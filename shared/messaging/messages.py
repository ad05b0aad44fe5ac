"""The messages that ring for work, built here by whoever sends them; the actors live with the workers.

A message says only where to look: what is to be done stands in PostgreSQL. Its options carry the sender's
`traceparent` and `tracestate`, which Dramatiq's retries keep.
"""

from uuid import UUID

import redis
from dramatiq import Message
from dramatiq.message import generate_unique_id
from dramatiq_abort import abort
from opentelemetry.trace import SpanKind

from shared.messaging import broker
from shared.telemetry import propagation
from shared.telemetry.tracing import tracer

# Single events never wait behind a full run: queues of their own.
EVENTS_QUEUE = "events"
TASKS_QUEUE = "tasks"

APPLY_PRODUCT_EVENTS = "apply_product_events"
APPLY_MARKET_EVENTS = "apply_market_events"
REQUEST_RECALCULATION = "request_recalculation"
JOIN_RUN = "join_run"
TASK_ACTORS = {"recalculation": "recalculate", "cache_sync": "sync_cache"}
ACTORS = {APPLY_PRODUCT_EVENTS, APPLY_MARKET_EVENTS, REQUEST_RECALCULATION, JOIN_RUN, *TASK_ACTORS.values()}


class Enqueuer:
    """Rings the workers: for what to do they look into PostgreSQL."""

    def __init__(self, client: redis.Redis) -> None:
        """A enqueue on the Redis of the queues; nothing is connected before the first ring."""
        self._broker = broker.create(client)
        self._abortable = broker.abortable(client)

    def product(self, product_id: str) -> None:
        """Have the waiting events of a product applied."""
        self._send(EVENTS_QUEUE, APPLY_PRODUCT_EVENTS, product_id)

    def market(self, code: str) -> None:
        """Have the waiting events of a market applied."""
        self._send(EVENTS_QUEUE, APPLY_MARKET_EVENTS, code)

    def recalculation_request(self, source: str, event_id: str) -> None:
        """Have a `recalculation_requested` event made a task."""
        self._send(EVENTS_QUEUE, REQUEST_RECALCULATION, source, event_id)

    def task(self, kind: str, task_id: UUID) -> None:
        """Have a task run. The message has the task's id, by which an abort finds it."""
        self._send(TASKS_QUEUE, TASK_ACTORS[kind], str(task_id), message_id=str(task_id))

    def help(self, task_id: UUID) -> None:
        """Have one more worker take partitions of a run."""
        self._send(TASKS_QUEUE, JOIN_RUN, str(task_id))

    def abort(self, task_id: UUID) -> None:
        """Interrupt the worker that runs a task, and cancel messages for it that still wait."""
        abort(str(task_id), middleware=self._abortable)

    def _send(self, queue: str, actor: str, *args: str, message_id: str | None = None) -> None:
        with tracer.start_as_current_span(
            f"send {queue}",
            kind=SpanKind.PRODUCER,
            attributes={
                "messaging.system": "dramatiq",
                "messaging.operation.type": "send",
                "messaging.destination.name": queue,
                "pricing.actor": actor,
            },
        ) as span:
            message: Message[None] = Message(
                queue_name=queue,
                actor_name=actor,
                args=args,
                kwargs={},
                options=dict(propagation.current()),
                message_id=message_id or generate_unique_id(),
            )
            span.set_attribute("messaging.message.id", message.message_id)
            self._broker.enqueue(message)
