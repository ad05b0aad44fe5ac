"""The bridge: what is published becomes a recorded event, what waits becomes a message."""

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import redis
import structlog
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind

from shared.errors import InvalidInput
from shared.jobs import tasks
from shared.jobs.tasks import WaitingTask
from shared.market_events import inbox, repricing_queue
from shared.market_events.events import CloudEvent, checked_time, decode, parse_data
from shared.market_events.inbox import EventRecord, WaitingEvent
from shared.messaging import messages
from shared.messaging.channel import MARKET_EVENTS
from shared.messaging.messages import Enqueuer
from shared.postgres.pools import Pool
from shared.telemetry import propagation
from shared.telemetry.metrics import EVENTS_RECEIVED, MESSAGES_ENQUEUED
from shared.telemetry.tracing import tracer

log = structlog.get_logger(__name__)

MAX_RAW_CHARS = 4_000
SWEPT_AT_ONCE = 1_000


class Bridge:
    """Records channel messages in PostgreSQL and rings the workers for what waits there.

    Any number of bridges may run: an event is recorded once, and only one of them gets to ring for it.
    """

    def __init__(self, pool: Pool, enqueue: Enqueuer, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._pool, self._doorbell, self._now = pool, enqueue, now

    def receive(self, raw_messages: Sequence[bytes]) -> None:
        """Record what came over the channel, and ring for it. What is no event is recorded as rejected."""
        records = list({(record.source, record.id): record for record in map(self._record, raw_messages)}.values())
        with self._pool.connection() as conn:
            new = inbox.record(conn, records)
        for record in records:
            _note_receipt(record, is_new=(record.source, record.id) in new)
        self._claim_and_ring([(record.source, record.id) for record in records if not record.reason])

    def sweep(self) -> int:
        """Ring for all that waits and that nobody rang for within 20 s, and for what is due; how much that was."""
        swept = self.sweep_due()
        while claimed := self._claim_and_ring():
            swept += claimed
            if claimed < SWEPT_AT_ONCE:
                break
        return swept + self._sweep_tasks()

    def sweep_due(self) -> int:
        """Ring for products and markets whose next decision is due; how many."""
        with self._pool.connection() as conn:
            targets = repricing_queue.take_due(conn)
            waiting = inbox.first_waiting(conn, targets) if targets else []
            repricing_queue.drop_due(conn, set(targets) - {event.target for event in waiting if event.target})
        self._ring_or_release(waiting, "due")
        return len(waiting)

    def _claim_and_ring(self, keys: Sequence[tuple[str, str]] | None = None) -> int:
        with self._pool.connection() as conn:
            claimed = inbox.claim(conn, keys, limit=SWEPT_AT_ONCE)
        if not claimed:
            return 0
        # In a transaction of its own: a worker that begins holds a pace and waits for its events.
        with self._pool.connection() as conn:
            now = repricing_queue.to_ring(conn, [event.target for event in claimed if event.target])
        ringing = [event for event in claimed if event.target is None or event.target in now]
        self._ring_or_release(ringing, "sweep" if keys is None else "channel")
        return len(claimed)

    def _sweep_tasks(self) -> int:
        with self._pool.connection() as conn:
            waiting_tasks = tasks.claim_waiting(conn)
        try:
            for task in waiting_tasks:
                self._ring_task(task)
        except redis.RedisError:
            with self._pool.connection() as conn:
                tasks.release(conn, [task.task_id for task in waiting_tasks])
            raise
        return len(waiting_tasks)

    def _ring_task(self, task: WaitingTask) -> None:
        context = propagation.extract({"traceparent": task.traceparent})
        with tracer.start_as_current_span("sweep tasks", context=context):
            log.info("task found waiting", task_id=str(task.task_id), kind=task.kind)
            self._doorbell.task(task.kind, task.task_id)
        MESSAGES_ENQUEUED.labels(messages.TASK_ACTORS[task.kind], "sweep").inc()

    def _ring_or_release(self, claimed: Sequence[WaitingEvent], reason: str) -> None:
        try:
            self._ring_events(claimed, reason)
        except redis.RedisError:
            with self._pool.connection() as conn:
                inbox.release(conn, [event for event in claimed if event.target is None])
                repricing_queue.not_rung(conn, [event.target for event in claimed if event.target])
            raise

    def _ring_events(self, claimed: Sequence[WaitingEvent], reason: str) -> None:
        """Ring once per product and market; a ring continues the trace of its first event."""
        rings: dict[str | tuple[str, str], WaitingEvent] = {}
        for event in claimed:
            rings.setdefault(event.target or event.key, event)
        for event in rings.values():
            context = propagation.extract({"traceparent": event.traceparent, "tracestate": event.tracestate})
            with tracer.start_as_current_span(
                f"process {MARKET_EVENTS}",
                context=context,
                kind=SpanKind.CONSUMER,
                attributes={
                    "messaging.system": "redis",
                    "messaging.operation.type": "process",
                    "messaging.destination.name": MARKET_EVENTS,
                    "messaging.message.id": event.id,
                    "pricing.event_id": event.id,
                },
            ):
                log.info("event received", event_id=event.id, source=event.source, type=event.type, by=reason)
                MESSAGES_ENQUEUED.labels(self._ring(event), reason).inc()

    def _ring(self, event: WaitingEvent) -> str:
        if event.product_id:
            self._doorbell.product(event.product_id)
            return messages.APPLY_PRODUCT_EVENTS
        if event.market:
            self._doorbell.market(event.market)
            return messages.APPLY_MARKET_EVENTS
        self._doorbell.recalculation_request(event.source, event.id)
        return messages.REQUEST_RECALCULATION

    def _record(self, raw: bytes) -> EventRecord:
        now = self._now()
        try:
            event = decode(raw)
        except InvalidInput as error:
            return _unreadable(raw, str(error), now)
        try:
            data = parse_data(event.type, event.data)
            time = checked_time(event.time, now)
        except InvalidInput as error:
            return _rejected(event, str(error), now)
        return EventRecord.accepted(msgspec.structs.replace(event, time=time, **_context(event)), data)


def _unreadable(raw: bytes, reason: str, now: datetime) -> EventRecord:
    """What is no event at all: kept whole as far as it is text, the same bytes once."""
    text = raw.decode(errors="replace")[:MAX_RAW_CHARS]
    digest = hashlib.sha256(raw).hexdigest()
    return EventRecord(
        source="channel", id=digest, type="unreadable", occurred_at=now, reason=reason, raw=text, **_own_context(digest)
    )


def _rejected(event: CloudEvent, reason: str, now: datetime) -> EventRecord:
    return EventRecord(
        source=event.source,
        id=event.id,
        type=event.type,
        occurred_at=now,
        data=event.data,
        reason=reason,
        **_context(event),
    )


def _context(event: CloudEvent) -> dict[str, Any]:
    """The trace context that an event brings; a new trace where it brings none."""
    carrier = {"traceparent": event.traceparent, "tracestate": event.tracestate}
    return carrier if propagation.link_to(carrier) else _own_context(event.id)


def _own_context(event_id: str) -> dict[str, Any]:
    with tracer.start_as_current_span(
        f"receive {MARKET_EVENTS}",
        context=Context(),
        kind=SpanKind.CONSUMER,
        attributes={
            "messaging.system": "redis",
            "messaging.operation.type": "receive",
            "messaging.destination.name": MARKET_EVENTS,
            "messaging.message.id": event_id,
            "pricing.event_id": event_id,
        },
    ):
        return propagation.current()


def _note_receipt(record: EventRecord, is_new: bool) -> None:
    outcome = "duplicate" if not is_new else "rejected" if record.reason else "recorded"
    EVENTS_RECEIVED.labels(outcome).inc()
    if record.reason and is_new:
        trace_id = record.traceparent.split("-")[1]
        log.warning(
            "event rejected",
            event_id=record.id,
            source=record.source,
            reason=record.reason,
            trace_id=trace_id,
        )
