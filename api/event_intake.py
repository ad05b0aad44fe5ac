"""The intake of market events over HTTP: stored first, then published on the channel."""

from collections.abc import Sequence
from datetime import datetime
from uuid import uuid4

import msgspec
import redis
import structlog

from api.edge.identity import require
from api.http.event_bodies import EventAnswer, EventBatch, MarketEvent, Published, PublishedBatch
from api.http.problems import problem_of
from api.services import Services
from shared.access.keys import LiveKey
from shared.access.scopes import Scope
from shared.errors import Forbidden, InvalidInput, OtherData, PricingError
from shared.market_events import inbox
from shared.market_events.events import CloudEvent, checked_time, decode, parse_data
from shared.market_events.records import EventRecord, Key
from shared.messaging import channel
from shared.telemetry import propagation, spans
from shared.telemetry.tracing import current_trace_id

log = structlog.get_logger(__name__)

PATH = "/api/v1/publish-market-event"
# Scopes that a type of event needs beside `events:write`.
MORE_SCOPES: dict[str, Scope] = {"market_changed": "rules:write", "recalculation_requested": "operate"}


def accept(services: Services, event: MarketEvent, caller: LiveKey) -> Published:
    """Store an event, then publish it.

    Raises:
        Forbidden: the caller's key lacks a scope that this type of event needs.
        InvalidInput: the type is unknown, the data does not match the type, or the time is too far in the future.
        OtherData: an event of that source and id is stored with other data.
    """
    event_id = event.event_id or str(uuid4())
    with channel.sending(event_id):
        cloud_event = CloudEvent(
            specversion="1.0", id=event_id, source=event.source, type=event.type, time=event.time, data=event.data
        )
        known = _in_trace(_checked(cloud_event, caller, services.clock.now()))
        [status] = _store_and_publish(services, [known], caller)
        if isinstance(status, OtherData):
            raise status
        log.info("event accepted", event_id=event_id, type=event.type, status=status)
        return Published(status, event_id, event.source, channel.MARKET_EVENTS, current_trace_id())


def accept_batch(services: Services, batch: EventBatch, caller: LiveKey) -> PublishedBatch:
    """Store the events of a batch together, then publish them; an invalid event gets an error of its own."""
    with channel.sending(f"{len(batch.events)} events"):
        now = services.clock.now()
        read = [_read(raw, number, caller, now) for number, raw in enumerate(batch.events)]
        events = [each for each in read if isinstance(each, CloudEvent)]
        statuses = iter(_store_and_publish(services, events, caller))
        log.info("events accepted", events=len(events), refused=len(read) - len(events))
        return PublishedBatch(
            [_answer(each, next(statuses)) if isinstance(each, CloudEvent) else _answer(None, each) for each in read]
        )


def _answer(event: CloudEvent | None, status: str | PricingError) -> EventAnswer:
    if event is None or isinstance(status, PricingError):
        return EventAnswer(error=problem_of(status, PATH) if isinstance(status, PricingError) else None)
    return EventAnswer(event.id, status, propagation.trace_id(event.traceparent))


def _read(raw: bytes, number: int, caller: LiveKey, now: datetime) -> CloudEvent | InvalidInput | Forbidden:
    try:
        return _in_trace(_checked(decode(raw), caller, now))
    except InvalidInput as error:
        return InvalidInput(error.reason, f"$[{number}]{error.path.removeprefix('$')}")
    except Forbidden as error:
        return error


def _checked(event: CloudEvent, caller: LiveKey, now: datetime) -> CloudEvent:
    """The event with its time in UTC.

    Raises:
        Forbidden: the caller's key lacks a scope that this type of event needs.
        InvalidInput: its type, data or time is invalid.
    """
    if scope := MORE_SCOPES.get(event.type):
        require(caller, scope)
    parse_data(event.type, event.data)
    return msgspec.structs.replace(event, time=checked_time(event.time, now))


def _in_trace(event: CloudEvent) -> CloudEvent:
    """The event with its own trace context, or with the request's where it has none."""
    if propagation.link_to({"traceparent": event.traceparent, "tracestate": event.tracestate}):
        return event
    return msgspec.structs.replace(event, **propagation.current())


def _store_and_publish(services: Services, events: Sequence[CloudEvent], caller: LiveKey) -> list[str | OtherData]:
    """The status of each event: `published`, `stored` where the channel is away, `duplicate`, or an error."""
    records = [EventRecord.accepted(event, parse_data(event.type, event.data), caller.id) for event in events]
    if len(records) == 1:
        spans.annotate(product_id=records[0].product_id, market=records[0].market)
    with services.transaction() as conn:
        new = inbox.record(conn, records)
        fresh: dict[Key, CloudEvent] = {}
        for event, record in zip(events, records, strict=True):
            if record.key in new:
                fresh.setdefault(record.key, event)
        firsts = {id(event) for event in fresh.values()}
        again = [record for event, record in zip(events, records, strict=True) if id(event) not in firsts]
        others = {id(record) for record in inbox.contradicting(conn, again)}
    reached = _publish(services, list(fresh.values()))

    def status(event: CloudEvent, record: EventRecord) -> str | OtherData:
        if id(event) in firsts:
            return reached
        reason = f"the event {record.id!r} of {record.source!r} is stored already, with other data"
        return OtherData(reason) if id(record) in others else "duplicate"

    return [status(event, record) for event, record in zip(events, records, strict=True)]


def _publish(services: Services, events: Sequence[CloudEvent]) -> str:
    try:
        channel.publish(services.events, [msgspec.json.encode(event) for event in events])
    except redis.RedisError as error:
        log.warning("channel away, the sweep will find the events", events=len(events), error=str(error))
        return "stored"
    return "published"
