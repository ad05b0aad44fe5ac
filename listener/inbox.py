"""The inbox: records the channel's messages as events. A message that is no event is recorded as rejected."""

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind

from shared.errors import InvalidInput
from shared.market_events import inbox
from shared.market_events.events import CloudEvent, checked_time, decode, parse_data
from shared.market_events.records import EventRecord
from shared.messaging.channel import MARKET_EVENTS
from shared.postgres.pools import Pool
from shared.telemetry import propagation, spans
from shared.telemetry.metrics import EVENTS_RECEIVED
from shared.telemetry.tracing import tracer

log = structlog.get_logger(__name__)

MAX_RAW_CHARS = 4_000


class Inbox:
    """Records messages in PostgreSQL. Any number may run at once: an event is recorded once."""

    def __init__(self, pool: Pool, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """An inbox; `now` is PostgreSQL's time."""
        self._pool, self._now = pool, now

    def record(self, raw_messages: Sequence[bytes]) -> list[EventRecord]:
        """Record messages; returns the accepted events among them, including those recorded before."""
        read = list(map(self._read, raw_messages))
        firsts = {record.key: record for record in reversed(read)}
        records = list(firsts.values())
        with self._pool.connection() as conn:
            new = inbox.record(conn, records)
            again = [each for each in read if each.key not in new or each is not firsts[each.key]]
            others = inbox.contradicting(conn, [each for each in again if each.reason is None])
            refused = list({each.key: each for each in map(_contradicting, others)}.values())
            new |= inbox.record(conn, refused)
        for record in (*records, *refused):
            _note_receipt(record, is_new=record.key in new)
        return [record for record in records if record.reason is None and not any(record is each for each in others)]

    def _read(self, raw: bytes) -> EventRecord:
        try:
            event = decode(raw)
        except InvalidInput as error:
            return _unreadable(raw, str(error))
        try:
            data = parse_data(event.type, event.data)
            time = checked_time(event.time, self._now())
        except InvalidInput as error:
            return _rejected(event, str(error))
        return EventRecord.accepted(msgspec.structs.replace(event, time=time, **_context(event)), data)


def _unreadable(raw: bytes, reason: str) -> EventRecord:
    """The record of a message that is no event: its first 4,000 characters. Equal messages share one record."""
    text = raw.decode(errors="replace")[:MAX_RAW_CHARS]
    digest = hashlib.sha256(raw).hexdigest()
    return EventRecord(source="channel", id=digest, type="unreadable", reason=reason, raw=text, **_own_context(digest))


def _rejected(event: CloudEvent, reason: str) -> EventRecord:
    return EventRecord(
        source=event.source,
        id=event.id,
        type=event.type,
        data=event.data,
        reason=reason,
        **_context(event),
    )


def _contradicting(record: EventRecord) -> EventRecord:
    """The record of an event whose id was used before with other data. Equal ones share one record."""
    text = msgspec.json.encode([record.source, record.id, record.type, record.data])
    return EventRecord(
        source="channel",
        id=hashlib.sha256(text).hexdigest(),
        type=record.type,
        occurred_at=record.occurred_at,
        data=record.data,
        reason=f"the event {record.id!r} of {record.source!r} is stored already, with other data",
        traceparent=record.traceparent,
        tracestate=record.tracestate,
    )


def _context(event: CloudEvent) -> dict[str, Any]:
    """The trace context of an event; a new trace where the event has none."""
    carrier = {"traceparent": event.traceparent, "tracestate": event.tracestate}
    return carrier if propagation.link_to(carrier) else _own_context(event.id)


def _own_context(event_id: str) -> dict[str, Any]:
    with tracer.start_as_current_span(
        f"receive {MARKET_EVENTS}",
        context=Context(),
        kind=SpanKind.CONSUMER,
        attributes=spans.event(event_id, "receive", MARKET_EVENTS),
    ):
        return propagation.current()


def _note_receipt(record: EventRecord, is_new: bool) -> None:
    outcome = "duplicate" if not is_new else "rejected" if record.reason else "recorded"
    EVENTS_RECEIVED.labels(outcome).inc()
    if record.reason and is_new:
        log.warning(
            "event rejected",
            event_id=record.id,
            source=record.source,
            reason=record.reason,
            trace_id=propagation.trace_id(record.traceparent),
        )
