"""Market events as the API and operators see them: look-up, lists, and replay."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from shared.errors import AlreadyEnded, NotFound
from shared.market_events import inbox
from shared.market_events.events import CloudEvent, decode, parse_data
from shared.market_events.records import EventRecord
from shared.postgres.pools import LIST_TIMEOUT_S, Conn, bound_statement
from shared.wire.fields import AT, TASK_ID, Attempts, CreatedAt, EventId, EventSource, EventType, TraceId

EventStatus = Literal["received", "applied", "superseded", "rejected", "failed"]
# The time of receipt, the source and the id of the last event of a page.
Position = tuple[datetime, str, str]


class EventView(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event in the API."""

    event_id: EventId
    source: EventSource
    type: EventType
    status: Annotated[
        EventStatus,
        Meta(description="received: the event waits; superseded: a later event replaced it."),
    ]
    attempts: Attempts
    received_at: CreatedAt
    trace_id: TraceId
    data: Annotated[dict[str, Any], Meta(description="The event's data.", examples=[{"product_id": "P-100"}])]
    reason: Annotated[
        str | None, Meta(description="The reason for a rejection or failure.", examples=["unknown product"])
    ] = None
    applied_at: Annotated[datetime | None, Meta(description="The time of the completion.", examples=[AT])] = None
    task_id: Annotated[UUID | None, Meta(description="The task that the event requested.", examples=[TASK_ID])] = None
    version: Annotated[
        int | None, Meta(description="The version of the sheet that includes the event.", examples=[7])
    ] = None


class ListedEvent(msgspec.Struct, frozen=True):
    """One event in a list for operators."""

    source: str
    id: str
    type: str
    status: str
    target: str | None
    attempts: int
    received_at: datetime
    reason: str | None
    trace_id: str


def view(conn: Conn, event_id: str, source: str | None) -> EventView:
    """One event; without a source, the latest of that id.

    Raises:
        NotFound: no such event.
    """
    row = conn.execute(_VIEW, [event_id, source, source]).fetchone()
    if row is None:
        raise NotFound(f"no event {event_id!r}")
    return EventView(**row)


def listed(conn: Conn, statuses: Sequence[str], limit: int) -> list[ListedEvent]:
    """The newest events with these statuses; with any status where none is given."""
    rows = conn.execute(_LIST, {"any": not statuses, "statuses": list(statuses), "limit": limit})
    return [ListedEvent(**row) for row in rows]


def page(
    conn: Conn,
    statuses: Sequence[EventStatus],
    types: Sequence[str],
    limit: int,
    after: Position | None,
    product_id: str | None = None,
) -> list[EventView]:
    """The newest events with these statuses and types, older than `after`; without a status or type: with any.

    With a `product_id` only those about this product.
    """
    at, source, event_id = after or _NEWEST
    values = {"statuses": list(statuses), "types": list(types), "limit": limit, "product_id": product_id}
    # A statement of its own: one for both cases could not use the index of the products.
    query = _PAGE.format("" if product_id is None else "product_id = %(product_id)s AND")
    bound_statement(conn, LIST_TIMEOUT_S)
    rows = conn.execute(query.encode(), values | {"at": at, "source": source, "id": event_id})
    return [EventView(**row) for row in rows]


def counts(conn: Conn) -> dict[str, int]:
    """The number of events by status."""
    return {
        row["status"]: row["n"] for row in conn.execute("SELECT status, count(*) AS n FROM market_events GROUP BY 1")
    }


def traceback_of(conn: Conn, event_id: str, source: str | None) -> str | None:
    """The traceback of the error with which an event failed."""
    row = conn.execute(_TRACEBACK, {"id": event_id, "source": source}).fetchone()
    return row["traceback"] if row else None


def replay(conn: Conn, event_id: str, source: str | None) -> None:
    """Accept an event that was rejected or failed; the sweep enqueues its target.

    Raises:
        NotFound: no such event.
        AlreadyEnded: the event is neither rejected nor failed.
        InvalidInput: the event is still not valid.
    """
    row = conn.execute(_FOR_REPLAY, {"id": event_id, "source": source}).fetchone()
    if row is None:
        raise NotFound(f"no event {event_id!r}")
    if row["status"] not in ("rejected", "failed"):
        raise AlreadyEnded(f"only rejected and failed events can be replayed; the event's status is {row['status']}")
    raw = row.pop("raw")
    event = decode(raw.encode()) if raw is not None else msgspec.convert(row | {"specversion": "1.0"}, CloudEvent)
    timed = msgspec.structs.replace(event, time=event.time or row["time"])
    record = EventRecord.accepted(timed, parse_data(event.type, event.data))
    if raw is None:
        inbox.accept(conn, record)
    else:
        # The message was not a valid event when it arrived, and is one now: it is recorded under its own id.
        inbox.record(conn, [record])


# The attempts of a waiting event are the starts of its target since the last completion.
_ATTEMPTS = """
CASE status WHEN 'received' THEN coalesce((SELECT q.attempts FROM repricing_queue q WHERE q.target = e.target), 0)
    ELSE attempts END AS attempts
"""

_SELECT = f"""
SELECT id AS event_id, source, type, status, {_ATTEMPTS}, recorded_at AS received_at,
    split_part(traceparent, '-', 2) AS trace_id, data, reason, applied_at, task_id, version
FROM market_events e
"""  # noqa: S608 # our own part

_VIEW = f"{_SELECT} WHERE id = %s AND (%s::text IS NULL OR source = %s::text) ORDER BY recorded_at DESC LIMIT 1"

# Later than any row: PostgreSQL's clock has not come so far.
_NEWEST: Position = (datetime.max.replace(tzinfo=UTC), "", "")
_PAGE = f"""{_SELECT}
WHERE {{}} (%(statuses)s::text[] = '{{{{}}}}' OR status = ANY(%(statuses)s))
    AND (%(types)s::text[] = '{{{{}}}}' OR type = ANY(%(types)s))
    AND (recorded_at, source, id) < (%(at)s, %(source)s, %(id)s)
ORDER BY recorded_at DESC, source DESC, id DESC LIMIT %(limit)s
"""

_LIST = f"""
SELECT source, id, type, status, coalesce(product_id, market) AS target, {_ATTEMPTS},
    recorded_at AS received_at, reason, split_part(traceparent, '-', 2) AS trace_id
FROM market_events e WHERE %(any)s OR status = ANY(%(statuses)s) ORDER BY recorded_at DESC LIMIT %(limit)s
"""  # noqa: S608 # as above

_ONE = "id = %(id)s AND (%(source)s::text IS NULL OR source = %(source)s::text) ORDER BY recorded_at DESC LIMIT 1"

_TRACEBACK = f"SELECT traceback FROM market_events WHERE {_ONE}"  # noqa: S608 # our own condition

_FOR_REPLAY = f"""
SELECT source, id, type, status, data, raw, occurred_at AS time, traceparent, tracestate
FROM market_events WHERE {_ONE} FOR UPDATE
"""  # noqa: S608 # as above
