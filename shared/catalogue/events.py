"""Market events in PostgreSQL: recorded once, claimed by whoever rings, settled when their price is served."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from shared.catalogue.database import Conn
from shared.errors import NotFound
from shared.fields import AT, TASK_ID, Attempts, CreatedAt, EventId, EventSource, EventType, TraceId
from shared.market_events import CloudEvent, EventData

RING_AGAIN_S = 20


class EventRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One event as it is recorded.

    Attributes:
        product_id: The product that it touches, if it touches one.
        market: The market that it touches, if it touches one.
        reason: Why it is rejected; None: it is accepted and waits.
        raw: The message as it came, where that was no event.
        traceparent: W3C context of the span that accepted it.
    """

    source: str
    id: str
    type: str
    time: datetime
    data: dict[str, Any] = {}
    product_id: str | None = None
    market: str | None = None
    reason: str | None = None
    raw: str | None = None
    traceparent: str = ""
    tracestate: str = ""

    @classmethod
    def accepted(cls, event: CloudEvent, data: EventData) -> "EventRecord":
        """The record of an event with its validated data; its time is known."""
        assert event.time is not None  # noqa: S101 # what `checked_time` gives
        return cls(
            source=event.source,
            id=event.id,
            type=event.type,
            time=event.time,
            data=event.data,
            product_id=getattr(data, "product_id", None),
            market=getattr(data, "market", None),
            traceparent=event.traceparent,
            tracestate=event.tracestate,
        )


class WaitingEvent(msgspec.Struct, frozen=True):
    """An accepted event that is not settled. `outcome` is set once its price is decided."""

    source: str
    id: str
    type: str
    time: datetime
    data: dict[str, Any]
    product_id: str | None
    market: str | None
    outcome: str | None
    version: int | None
    traceparent: str
    tracestate: str

    @property
    def key(self) -> tuple[str, str]:
        """What identifies it: (source, id)."""
        return self.source, self.id


class SettledEvent(msgspec.Struct, frozen=True):
    """What became of an event, for the log and the metrics; `lag_s` since its acceptance."""

    id: str
    type: str
    status: str
    reason: str | None
    version: int | None
    lag_s: float


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
    applied_at: Annotated[datetime | None, Meta(description="When it was settled.", examples=[AT])] = None
    task_id: Annotated[UUID | None, Meta(description="The task that it asked for.", examples=[TASK_ID])] = None
    version: Annotated[int | None, Meta(description="The sheet's version that includes it.", examples=[7])] = None


def record(conn: Conn, records: Sequence[EventRecord]) -> set[tuple[str, str]]:
    """Store events; the (source, id) of those that were not known before."""
    values = [msgspec.structs.asdict(record) for record in records]
    for value in values:
        value["data"] = msgspec.json.encode(value["data"]).decode().replace("\\u0000", "\\ufffd")
        value["raw"] = value["raw"] and value["raw"].replace("\0", "\ufffd")
        value["status"] = "rejected" if value["reason"] else "received"
    columns = {name: [value[name] for value in values] for name in (*EventRecord.__struct_fields__, "status")}
    return {(row["source"], row["id"]) for row in conn.execute(_RECORD, columns)}


def claim(conn: Conn, keys: Iterable[tuple[str, str]] | None = None, limit: int = 1000) -> list[WaitingEvent]:
    """Take waiting events for ringing; nobody else gets them for 20 s.

    Args:
        conn: In a transaction of its own.
        keys: Only these (source, id); None: whatever waits, oldest first.
        limit: The most that are taken.
    """
    chosen = None if keys is None else list(keys)
    parameters = {
        "all": chosen is None,
        "sources": [source for source, _ in chosen or ()],
        "ids": [id_ for _, id_ in chosen or ()],
        "again_s": RING_AGAIN_S,
        "limit": limit,
    }
    return [WaitingEvent(**row) for row in conn.execute(_CLAIM, parameters)]


def release(conn: Conn, claimed: Sequence[WaitingEvent]) -> None:
    """Give back what was claimed but could not be rung."""
    conn.execute(
        """
        UPDATE market_events e SET enqueued_at = NULL FROM unnest(%s::text[], %s::text[]) AS k (source, id)
        WHERE e.source = k.source AND e.id = k.id AND e.status = 'received'
        """,
        [[event.source for event in claimed], [event.id for event in claimed]],
    )


def lock_waiting(
    conn: Conn,
    *,
    product_id: str | None = None,
    market: str | None = None,
    key: tuple[str, str] | None = None,
    attempt: int = 1,
) -> list[WaitingEvent]:
    """The waiting events of a product, a market, or one by (source, id), oldest first; locked, the attempt counted."""
    source, id_ = key or (None, None)
    rows = conn.execute(
        _LOCK, {"product_id": product_id, "market": market, "source": source, "id": id_, "attempt": attempt}
    ).fetchall()
    return sorted((WaitingEvent(**row) for row in rows), key=lambda event: (event.time, event.id))


def decide(
    conn: Conn,
    event: WaitingEvent,
    outcome: str,
    *,
    reason: str | None = None,
    version: int | None = None,
    task_id: UUID | None = None,
) -> None:
    """Note what becomes of an event; `settle` makes it its status."""
    conn.execute(
        """
        UPDATE market_events SET outcome = %s, reason = %s, version = %s, task_id = %s
        WHERE source = %s AND id = %s AND status = 'received'
        """,
        [outcome, reason, version, task_id, *event.key],
    )


def settle(conn: Conn, decided: Iterable[WaitingEvent]) -> list[SettledEvent]:
    """Make the decided outcomes final: what they changed is where a query finds it."""
    keys = [event.key for event in decided]
    rows = conn.execute(
        """
        UPDATE market_events e SET status = e.outcome, applied_at = clock_timestamp()
        FROM unnest(%s::text[], %s::text[]) AS k (source, id)
        WHERE e.source = k.source AND e.id = k.id AND e.status = 'received' AND e.outcome IS NOT NULL
        RETURNING e.id, e.type, e.status, e.reason, e.version,
            extract(epoch FROM e.applied_at - e.received_at)::float8 AS lag_s
        """,
        [[source for source, _ in keys], [id_ for _, id_ in keys]],
    )
    return [SettledEvent(**row) for row in rows]


def fail_waiting(conn: Conn, reason: str, **which: Any) -> int:
    """Give up on the waiting events of a product, a market or a key, with the reason; how many."""
    waiting = lock_waiting(conn, **which, attempt=0)
    for event in waiting:
        decide(conn, event, "failed", reason=reason, version=event.version)
    settle(conn, waiting)
    return len(waiting)


def view(conn: Conn, event_id: str, source: str | None) -> EventView:
    """What became of an event; without a source, the latest of that id.

    Raises:
        NotFound: no such event.
    """
    row = conn.execute(_VIEW, [event_id, source, source]).fetchone()
    if row is None:
        raise NotFound(f"no event {event_id!r}")
    return EventView(**row)


_RECORD = """
INSERT INTO market_events
    (source, id, type, time, data, product_id, market, reason, raw, traceparent, tracestate, status, applied_at)
SELECT source, id, type, time, data, product_id, market, reason, raw, traceparent, tracestate, status,
    CASE status WHEN 'rejected' THEN clock_timestamp() END
FROM unnest(%(source)s::text[], %(id)s::text[], %(type)s::text[], %(time)s::timestamptz[], %(data)s::jsonb[],
    %(product_id)s::text[], %(market)s::text[], %(reason)s::text[], %(raw)s::text[], %(traceparent)s::text[],
    %(tracestate)s::text[], %(status)s::text[])
AS e (source, id, type, time, data, product_id, market, reason, raw, traceparent, tracestate, status)
ON CONFLICT DO NOTHING RETURNING source, id
"""

_WAITING = "source, id, type, time, data, product_id, market, outcome, version, traceparent, tracestate"

_CLAIM = f"""
UPDATE market_events SET enqueued_at = clock_timestamp() WHERE (source, id) IN (
    SELECT source, id FROM market_events WHERE status = 'received'
    AND (enqueued_at IS NULL OR enqueued_at < clock_timestamp() - make_interval(secs => %(again_s)s))
    AND (%(all)s OR (source, id) IN (SELECT * FROM unnest(%(sources)s::text[], %(ids)s::text[])))
    ORDER BY received_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
RETURNING {_WAITING}
"""  # noqa: S608 # only names of columns

_LOCK = f"""
UPDATE market_events SET attempts = attempts + %(attempt)s WHERE status = 'received' AND (
    product_id = %(product_id)s OR market = %(market)s OR (source = %(source)s AND id = %(id)s))
RETURNING {_WAITING}
"""  # noqa: S608 # only names of columns

_VIEW = """
SELECT id AS event_id, source, type, status, attempts, received_at, split_part(traceparent, '-', 2) AS trace_id,
    data, reason, applied_at, task_id, version
FROM market_events WHERE id = %s AND (%s::text IS NULL OR source = %s::text) ORDER BY received_at DESC LIMIT 1
"""
