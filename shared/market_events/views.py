"""Market events as the API and operators see them: what became of one, which wait or were given up, once more."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from shared.errors import AlreadyEnded, NotFound
from shared.market_events import inbox
from shared.market_events.events import CloudEvent, decode, parse_data
from shared.market_events.records import EventRecord
from shared.postgres.pools import Conn
from shared.wire.fields import AT, TASK_ID, Attempts, CreatedAt, EventId, EventSource, EventType, TraceId


class EventView(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of an event."""

    event_id: EventId
    source: EventSource
    type: EventType
    status: Annotated[
        Literal["received", "applied", "superseded", "rejected", "failed"],
        Meta(description="received: it waits; superseded: a later event says otherwise."),
    ]
    attempts: Attempts
    received_at: CreatedAt
    trace_id: TraceId
    data: Annotated[dict[str, Any], Meta(description="The event's data.", examples=[{"product_id": "P-100"}])]
    reason: Annotated[str | None, Meta(description="Why it was rejected or failed.", examples=["unknown product"])] = (
        None
    )
    applied_at: Annotated[datetime | None, Meta(description="When it was completed.", examples=[AT])] = None
    task_id: Annotated[UUID | None, Meta(description="The task that it asked for.", examples=[TASK_ID])] = None
    version: Annotated[int | None, Meta(description="The sheet's version that includes it.", examples=[7])] = None


class ListedEvent(msgspec.Struct, frozen=True):
    """One line of a list for operators."""

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
    """What became of an event; without a source, the latest of that id.

    Raises:
        NotFound: no such event.
    """
    row = conn.execute(_VIEW, [event_id, source, source]).fetchone()
    if row is None:
        raise NotFound(f"no event {event_id!r}")
    return EventView(**row)


def listed(conn: Conn, statuses: Sequence[str], limit: int) -> list[ListedEvent]:
    """The newest events of these statuses; of all where none is given."""
    rows = conn.execute(_LIST, {"any": not statuses, "statuses": list(statuses), "limit": limit})
    return [ListedEvent(**row) for row in rows]


def counts(conn: Conn) -> dict[str, int]:
    """How many events have which status."""
    return {
        row["status"]: row["n"] for row in conn.execute("SELECT status, count(*) AS n FROM market_events GROUP BY 1")
    }


def traceback_of(conn: Conn, event_id: str, source: str | None) -> str | None:
    """Where the error came from that an event failed with."""
    row = conn.execute(_TRACEBACK, {"id": event_id, "source": source}).fetchone()
    return row["traceback"] if row else None


def replay(conn: Conn, event_id: str, source: str | None) -> None:
    """Have an event that was rejected or failed applied after all; the sweep enqueues its target.

    Raises:
        NotFound: no such event.
        AlreadyEnded: it was neither rejected nor failed.
        InvalidInput: it still is no event that can be accepted.
    """
    row = conn.execute(_FOR_REPLAY, {"id": event_id, "source": source}).fetchone()
    if row is None:
        raise NotFound(f"no event {event_id!r}")
    if row["status"] not in ("rejected", "failed"):
        raise AlreadyEnded(f"only what was rejected or failed is replayed; the event's status is {row['status']}")
    raw = row.pop("raw")
    event = decode(raw.encode()) if raw is not None else msgspec.convert(row | {"specversion": "1.0"}, CloudEvent)
    timed = msgspec.structs.replace(event, time=event.time or row["time"])
    record = EventRecord.accepted(timed, parse_data(event.type, event.data))
    if raw is None:
        inbox.accept(conn, record)
    else:
        # It was no event when it came, and is one now: under its own id.
        inbox.record(conn, [record])


# Of an event that waits, the starts of its target since something was completed.
_ATTEMPTS = """
CASE status WHEN 'received' THEN coalesce((SELECT q.attempts FROM repricing_queue q WHERE q.target = e.target), 0)
    ELSE attempts END AS attempts
"""

_VIEW = f"""
SELECT id AS event_id, source, type, status, {_ATTEMPTS}, recorded_at AS received_at,
    split_part(traceparent, '-', 2) AS trace_id, data, reason, applied_at, task_id, version
FROM market_events e WHERE id = %s AND (%s::text IS NULL OR source = %s::text) ORDER BY recorded_at DESC LIMIT 1
"""  # noqa: S608 # our own part

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
