"""The sweep: targets that are due, and tasks that wait, become messages for the workers."""

from collections.abc import Iterator, Mapping, Sequence

import redis
import structlog
from opentelemetry.trace import SpanKind

from shared.jobs import tasks
from shared.jobs.tasks import WaitingTask
from shared.market_events import inbox
from shared.market_events.records import EventRecord, WaitingEvent
from shared.messaging import messages
from shared.messaging.channel import MARKET_EVENTS
from shared.messaging.messages import Enqueuer
from shared.postgres.pools import Pool
from shared.prices import repricing_queue
from shared.prices.repricing_queue import DueTarget
from shared.telemetry import propagation, spans
from shared.telemetry.metrics import MESSAGES_ENQUEUED
from shared.telemetry.tracing import tracer

log = structlog.get_logger(__name__)

# The products of one message are decided in one transaction.
PRODUCTS_PER_MESSAGE = 100
TAKEN_AT_ONCE = 1_000
# Targets that crashed a worker together are due together: one of them is to blame, and crashes the others' worker again
# where they are in hand at the same time.
APART_MS, MOST_APART_MS = 200, 2_000
MOST_LINKS = 100

Event = EventRecord | WaitingEvent


class Sweep:
    """Enqueues one message for each batch of due targets.

    A message continues the trace of the first event of its targets, and links to the traces of the others.
    """

    def __init__(self, pool: Pool, enqueue: Enqueuer) -> None:
        self._pool, self._enqueue = pool, enqueue

    def events(self, events: Sequence[EventRecord]) -> None:
        """Enqueue the due targets of events that were just recorded, and the tasks of their recalculations."""
        by_target = {event.target: event for event in reversed(events) if event.target}
        if by_target:
            with self._pool.connection() as conn:
                due = repricing_queue.take_due(conn, sorted(by_target), limit=len(by_target))
            self._send(due, by_target, "channel")
        if any(event.task_id for event in events):
            self.tasks()

    def due(self) -> int:
        """Enqueue up to 1,000 due targets; returns their number."""
        with self._pool.connection() as conn:
            due = repricing_queue.take_due(conn, limit=TAKEN_AT_ONCE)
            waiting = inbox.oldest(conn, [each.target for each in due]) if due else []
        self._send(due, {event.target: event for event in waiting}, "sweep")
        return len(due)

    def tasks(self) -> int:
        """Enqueue waiting tasks, and tasks whose worker is gone; returns their number."""
        with self._pool.connection() as conn:
            waiting = tasks.claim_waiting(conn)
        try:
            for task in waiting:
                self._send_task(task)
        except redis.RedisError:
            with self._pool.connection() as conn:
                tasks.release(conn, [task.task_id for task in waiting])
            raise
        return len(waiting)

    def _send(self, due: Sequence[DueTarget], events: Mapping[str, Event], reason: str) -> None:
        left = {each.target for each in due}
        try:
            for targets, delay_ms in _batches(due):
                self._send_batch(targets, events, reason, delay_ms)
                left -= set(targets)
        except redis.RedisError:
            with self._pool.connection() as conn:
                repricing_queue.not_enqueued(conn, left)
            raise

    def _send_batch(self, targets: Sequence[str], known: Mapping[str, Event], reason: str, delay_ms: int) -> None:
        events = [known[target] for target in targets if target in known]
        carriers = [{"traceparent": event.traceparent, "tracestate": event.tracestate} for event in events]
        links = [link for carrier in carriers[1:MOST_LINKS] if (link := propagation.link_to(carrier))]
        with tracer.start_as_current_span(
            # Products that are due by the clock are no event: `just trace` passes over them.
            f"process {MARKET_EVENTS}" if events else "sweep products",
            context=propagation.extract(carriers[0] if carriers else {}),
            kind=SpanKind.CONSUMER,
            attributes=_attributes(targets, events),
            links=links,
        ):
            log.info("event received", event_id=events[0].id if events else None, targets=len(targets), by=reason)
            if targets[0].startswith("#"):
                self._enqueue.market(targets[0][1:], delay_ms)
            else:
                self._enqueue.products(targets, delay_ms)
        actor = messages.CHANGE_MARKET if targets[0].startswith("#") else messages.REPRICE_PRODUCTS
        MESSAGES_ENQUEUED.labels(actor, reason).inc()

    def _send_task(self, task: WaitingTask) -> None:
        context = propagation.extract({"traceparent": task.traceparent})
        attributes = {"pricing.task_id": str(task.task_id)}
        with tracer.start_as_current_span("sweep tasks", context=context, attributes=attributes):
            log.info("task found waiting", task_id=str(task.task_id), kind=task.kind)
            self._enqueue.task(task.kind, task.task_id)
        MESSAGES_ENQUEUED.labels(messages.TASK_ACTORS[task.kind], "sweep").inc()


def _batches(due: Sequence[DueTarget]) -> Iterator[tuple[list[str], int]]:
    """The targets of each message and its delay in ms.

    A market, and a target that has crashed a worker, gets a message of its own. Those that crashed come one after the
    other.
    """
    fine = [each.target for each in due if not each.crashes]
    together = [target for target in fine if not target.startswith("#")]
    for start in range(0, len(together), PRODUCTS_PER_MESSAGE):
        yield together[start : start + PRODUCTS_PER_MESSAGE], 0
    yield from (([target], 0) for target in fine if target.startswith("#"))
    for place, suspect in enumerate(each.target for each in due if each.crashes):
        yield [suspect], min(place * APART_MS, MOST_APART_MS)


def _attributes(targets: Sequence[str], events: Sequence[Event]) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {"pricing.targets": len(targets)}
    if events:
        attributes.update(spans.event(events[0].id, "process", MARKET_EVENTS))
    else:
        attributes.update(spans.messaging("redis", "process", MARKET_EVENTS))
    if len(targets) == 1 and not targets[0].startswith("#"):
        attributes["pricing.product_id"] = targets[0]
    return attributes
