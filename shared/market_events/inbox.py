"""Market events in PostgreSQL: recorded once, claimed by whoever rings, settled when their price is served."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from shared.market_events import repricing_queue
from shared.market_events.events import CloudEvent, EventData
from shared.postgres.leases import MAX_CRASHES, QUARANTINED
from shared.postgres.pools import Conn
from shared.telemetry.metrics import QUARANTINES

REDELIVER_AFTER_S = 20
# Events of one product that one decision takes in.
MOST_AT_ONCE = 20_000


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
    occurred_at: datetime
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
            occurred_at=event.time,
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
    occurred_at: datetime
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

    @property
    def target(self) -> str | None:
        """Whose pace it follows: its product's or its market's; None: it follows none."""
        return self.product_id or (repricing_queue.market_target(self.market) if self.market else None)


class CompletedEvent(msgspec.Struct, frozen=True):
    """What became of an event, for the log and the metrics; `lag_s` since its acceptance."""

    id: str
    type: str
    status: str
    reason: str | None
    version: int | None
    lag_s: float


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
    """Take waiting events for ringing, the oldest first; nobody else gets them for 20 s.

    Only these (source, id), in a transaction of its own; None: whatever waits.
    """
    chosen = None if keys is None else list(keys)
    parameters = {
        "all": chosen is None,
        "sources": [source for source, _ in chosen or ()],
        "ids": [id_ for _, id_ in chosen or ()],
        "again_s": REDELIVER_AFTER_S,
        "limit": limit,
    }
    return [WaitingEvent(**row) for row in conn.execute(_CLAIM, parameters)]


def first_waiting(conn: Conn, targets: Sequence[str]) -> list[WaitingEvent]:
    """The oldest waiting event of each of these products and markets that has one."""
    values = {"targets": list(targets), "markets": [target[1:] for target in targets if target.startswith("#")]}
    return [WaitingEvent(**row) for row in conn.execute(_FIRST_WAITING, values)]


def release(conn: Conn, claimed: Sequence[WaitingEvent]) -> None:
    """Give back what was claimed but could not be rung."""
    conn.execute(f"UPDATE market_events e SET enqueued_at = NULL {_OF_KEYS}", _keys(claimed))  # noqa: S608 # our own


def begin(
    conn: Conn,
    *,
    product_id: str | None = None,
    market: str | None = None,
    key: tuple[str, str] | None = None,
) -> list[WaitingEvent]:
    """Count an attempt at the waiting events of a product, a market, or at one by (source, id), oldest first.

    To be committed before the work: an event whose worker was killed three times ends `failed`, and is not
    among those that are returned. One that is suspected of it is tried alone.
    """
    which = _which(product_id, market, key)
    worst = conn.execute(_WORST, which).fetchone()
    is_suspect = worst is not None and (worst["crashes"] or 0) >= MAX_CRASHES - 1
    rows = conn.execute(_BEGIN, which | {"limit": 1 if is_suspect else MOST_AT_ONCE}).fetchall()
    crashes = [row.pop("crashes") for row in rows]
    begun = [WaitingEvent(**row) for row in rows]
    killers = [event for event, killed in zip(begun, crashes, strict=True) if killed > MAX_CRASHES]
    if killers:
        QUARANTINES.labels("event").inc(len(killers))
        decide_all(conn, killers, "failed", reason=f"{QUARANTINED}: its worker was killed {MAX_CRASHES} times")
        settle(conn, killers)
        return begin(conn, product_id=product_id, market=market, key=key)
    return _in_order(begun)


def release_attempt(conn: Conn, begun: Sequence[WaitingEvent]) -> None:
    """Say that an attempt ended in order, though not well: it was no kill."""
    conn.execute(
        f"UPDATE market_events e SET crashes = greatest(crashes - 1, 0) {_OF_KEYS}",  # noqa: S608 # our own condition
        _keys(begun),
    )


def lock(conn: Conn, begun: Sequence[WaitingEvent]) -> list[WaitingEvent]:
    """Lock those of the events that still wait, oldest first, as they stand now."""
    query = f"SELECT {_named('e')} FROM market_events e, {_KEYS} WHERE {_SAME} FOR UPDATE OF e"  # noqa: S608 # as above
    return _in_order(WaitingEvent(**row) for row in conn.execute(query.encode(), _keys(begun)))


def decide(conn: Conn, event: WaitingEvent, outcome: str, **about: Any) -> None:
    """As `decide_all`, for one event."""
    decide_all(conn, [event], outcome, **about)


def decide_all(
    conn: Conn,
    decided: Sequence[WaitingEvent],
    outcome: str,
    *,
    reason: str | None = None,
    version: int | None = None,
    task_id: UUID | None = None,
    traceback: str | None = None,
) -> None:
    """Note what becomes of events that all end alike; `settle` makes it their status."""
    about = {"outcome": outcome, "reason": reason, "version": version, "task_id": task_id, "traceback": traceback}
    conn.execute(_DECIDE, _keys(decided) | about)


def settle(conn: Conn, decided: Sequence[WaitingEvent]) -> list[CompletedEvent]:
    """Make the decided outcomes final: what they changed is where a query finds it."""
    rows = conn.execute(_SETTLE, _keys(decided))
    return [CompletedEvent(**row) for row in rows]


def fail_waiting(
    conn: Conn,
    reason: str,
    traceback: str = "",
    *,
    product_id: str | None = None,
    market: str | None = None,
    key: tuple[str, str] | None = None,
) -> int:
    """Give up on the waiting events of a product, a market or a key, with the reason; how many."""
    which = _which(product_id, market, key)
    waiting = [WaitingEvent(**row) for row in conn.execute(_ALL_WAITING, which)]
    decide_all(conn, waiting, "failed", reason=reason, traceback=traceback or None)
    settle(conn, waiting)
    return len(waiting)


_RECORD = """
INSERT INTO market_events
    (source, id, type, occurred_at, data, product_id, market, reason, raw, traceparent, tracestate, status, applied_at)
SELECT source, id, type, occurred_at, data, product_id, market, reason, raw, traceparent, tracestate, status,
    CASE status WHEN 'rejected' THEN clock_timestamp() END
FROM unnest(%(source)s::text[], %(id)s::text[], %(type)s::text[], %(occurred_at)s::timestamptz[], %(data)s::jsonb[],
    %(product_id)s::text[], %(market)s::text[], %(reason)s::text[], %(raw)s::text[], %(traceparent)s::text[],
    %(tracestate)s::text[], %(status)s::text[])
AS e (source, id, type, occurred_at, data, product_id, market, reason, raw, traceparent, tracestate, status)
ON CONFLICT DO NOTHING RETURNING source, id
"""

_COLUMNS = tuple(WaitingEvent.__struct_fields__)
_WAITING = ", ".join(_COLUMNS)


def _named(table: str) -> str:
    return ", ".join(f"{table}.{name}" for name in _COLUMNS)


def _in_order(found: Iterable[WaitingEvent]) -> list[WaitingEvent]:
    return sorted(found, key=lambda event: (event.occurred_at, event.id))


def _which(product_id: str | None, market: str | None, key: tuple[str, str] | None) -> dict[str, Any]:
    source, id_ = key or (None, None)
    return {"product_id": product_id, "market": market, "source": source, "id": id_}


def _keys(chosen: Sequence[WaitingEvent]) -> dict[str, Any]:
    return {"sources": [event.source for event in chosen], "ids": [event.id for event in chosen]}


_CLAIM = f"""
UPDATE market_events SET enqueued_at = clock_timestamp() WHERE (source, id) IN (
    SELECT source, id FROM market_events WHERE status = 'received'
    AND (enqueued_at IS NULL OR enqueued_at < clock_timestamp() - make_interval(secs => %(again_s)s))
    AND (%(all)s OR (source, id) IN (SELECT * FROM unnest(%(sources)s::text[], %(ids)s::text[])))
    ORDER BY recorded_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
RETURNING {_WAITING}
"""  # noqa: S608 # only names of columns

_FIRST_WAITING = f"""
SELECT {_named("e")} FROM unnest(%(targets)s::text[]) AS t (target) CROSS JOIN LATERAL (
    SELECT * FROM market_events WHERE product_id = t.target AND status = 'received' ORDER BY recorded_at LIMIT 1) e
UNION ALL
SELECT {_named("e")} FROM unnest(%(markets)s::text[]) AS t (code) CROSS JOIN LATERAL (
    SELECT * FROM market_events WHERE market = t.code AND status = 'received' ORDER BY recorded_at LIMIT 1) e
"""  # noqa: S608 # only names of columns

_WHICH = """
status = 'received' AND (
    product_id = %(product_id)s::text OR market = %(market)s::text OR (source = %(source)s::text AND id = %(id)s::text))
"""

_WORST = f"SELECT max(crashes) AS crashes FROM market_events WHERE {_WHICH}"  # noqa: S608 # our own condition

_ALL_WAITING = f"SELECT {_WAITING} FROM market_events WHERE {_WHICH} FOR UPDATE"  # noqa: S608 # as above

_BEGIN = f"""
UPDATE market_events SET attempts = attempts + 1, crashes = crashes + 1 WHERE (source, id) IN (
    SELECT source, id FROM market_events WHERE {_WHICH} ORDER BY crashes DESC, recorded_at LIMIT %(limit)s FOR UPDATE)
RETURNING {_WAITING}, crashes
"""  # noqa: S608 # as above

_KEYS = "unnest(%(sources)s::text[], %(ids)s::text[]) AS k (source, id)"
_SAME = "e.source = k.source AND e.id = k.id AND e.status = 'received'"
_OF_KEYS = f"FROM {_KEYS} WHERE {_SAME}"

_DECIDE = f"""
UPDATE market_events e SET outcome = %(outcome)s, reason = %(reason)s, version = coalesce(%(version)s, e.version),
    task_id = %(task_id)s, traceback = %(traceback)s {_OF_KEYS}
"""  # noqa: S608 # as above

_SETTLE = f"""
UPDATE market_events e SET status = e.outcome, applied_at = clock_timestamp() {_OF_KEYS} AND e.outcome IS NOT NULL
RETURNING e.id, e.type, e.status, e.reason, e.version,
    extract(epoch FROM e.applied_at - e.recorded_at)::float8 AS lag_s
"""  # noqa: S608 # as above
