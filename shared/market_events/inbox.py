"""Market events in PostgreSQL: recorded once, read by the holder of their target, completed when prices are served."""

from collections.abc import Sequence
from typing import Any

import msgspec

from shared.jobs import tasks
from shared.market_events.records import CompletedEvent, EventRecord, Key, Outcome, WaitingEvent
from shared.postgres.arrays import numbers, texts
from shared.postgres.leases import MAX_CRASHES, QUARANTINED
from shared.postgres.pools import Conn
from shared.prices import repricing_queue
from shared.prices.repricing_queue import Lease
from shared.telemetry.metrics import EVENTS_COMPLETED, QUARANTINES

# The largest number of events that one attempt reads.
MOST_AT_ONCE = 20_000


def record(conn: Conn, records: Sequence[EventRecord]) -> set[Key]:
    """Store events and make their targets due, in one statement; returns the keys of the new ones.

    A requested recalculation becomes a task in the same transaction.
    """
    if not records:
        return set()
    numbered = sorted(enumerate(records), key=lambda one: one[1].key)
    ordered = [record for _, record in numbered]
    columns = _columns(ordered) | {"position": [position for position, _ in numbered]}
    new = {(row["source"], row["id"]) for row in conn.execute(_RECORD, columns)}
    for each in ordered:
        if each.key in new:
            _create_task(conn, each)
    return new


def contradicting(conn: Conn, records: Sequence[EventRecord]) -> list[EventRecord]:
    """Those of the records whose event is stored with another type or other data."""
    if not records:
        return []
    rows = conn.execute(_CONTRADICTING, _columns(records))
    return [records[row["n"] - 1] for row in rows]


def accept(conn: Conn, record: EventRecord) -> None:
    """Accept an event that was rejected or has failed before."""
    subject = {"product_id": record.product_id, "market": record.market, "target": record.target}
    key = {"source": record.source, "id": record.id, "status": record.status, "task_id": record.task_id}
    conn.execute(_ACCEPT, subject | key)
    if record.target is not None:
        repricing_queue.make_due(conn, [record.target])
    _create_task(conn, record)


def _create_task(conn: Conn, record: EventRecord) -> None:
    if record.product_set is not None and record.task_id:
        tasks.create(conn, "recalculation", record.product_set, record.traceparent, record.task_id, record.key_id)
        EVENTS_COMPLETED.labels("applied").inc()


def waiting(conn: Conn, leases: Sequence[Lease]) -> dict[str, list[WaitingEvent]]:
    """The waiting events of each held target, the earliest first.

    Where a target's events crashed a worker three times, the oldest event ends `failed`. A suspect target gets its
    oldest event alone.
    """
    found: dict[str, list[WaitingEvent]] = {}
    for lease in leases:
        if lease.crashes > MAX_CRASHES:
            _quarantine_oldest(conn, lease)
        if is_suspect(lease):
            found[lease.target] = _read(conn, [lease.target], limit=1)
    trusted = [lease.target for lease in leases if lease.target not in found]
    found |= {target: [] for target in trusted}
    for event in _read(conn, trusted, MOST_AT_ONCE):
        found[event.target].append(event)
    return {target: sorted(events, key=lambda event: event.occurred_at) for target, events in found.items()}


def is_suspect(lease: Lease) -> bool:
    """Whether one of the target's events may be the cause of its crashes."""
    return lease.crashes >= MAX_CRASHES


def oldest(conn: Conn, targets: Sequence[str]) -> list[WaitingEvent]:
    """The oldest waiting event of each target that has one."""
    return [WaitingEvent(**row) for row in conn.execute(_OLDEST, {"targets": list(targets)})]


def complete(
    conn: Conn, leases: Sequence[Lease], outcomes: Sequence[tuple[WaitingEvent, Outcome]]
) -> list[CompletedEvent]:
    """End a successful attempt in one statement: the events get their outcomes, the targets are released.

    Call when queries return the new prices. Events of a target whose lease was lost are left unchanged. A target is
    due again where further events wait, else when an input of its decision changes by itself.
    """
    attempts = {lease.target: lease.attempts for lease in leases}
    # Only one event of a suspect was applied.
    suspects = {lease.target for lease in leases if is_suspect(lease)}
    values = {
        "targets": texts(lease.target for lease in leases),
        "claims": numbers(lease.claim for lease in leases),
        "every": repricing_queue.INTERVAL_S,
        "crashes": numbers(MAX_CRASHES - 1 if lease.target in suspects else 0 for lease in leases),
        "sources": [event.source for event, _ in outcomes],
        "ids": [event.id for event, _ in outcomes],
        "of": [event.target for event, _ in outcomes],
        "attempts": [attempts[event.target] for event, _ in outcomes],
        "statuses": [outcome.status for _, outcome in outcomes],
        "reasons": [outcome.reason for _, outcome in outcomes],
        "versions": [outcome.version for _, outcome in outcomes],
        "tracebacks": [outcome.traceback for _, outcome in outcomes],
    }
    completed = [CompletedEvent(**row) for row in conn.execute(_COMPLETE, values)]
    if suspects or len(outcomes) >= MOST_AT_ONCE:
        left = {event.target for event in oldest(conn, sorted(attempts))}
        repricing_queue.make_due(conn, left)
        repricing_queue.trust(conn, suspects - left)
    return completed


def fail_waiting(conn: Conn, target: str, reason: str, traceback: str = "") -> int:
    """Set the waiting events of a target to `failed`, with the reason; returns their number.

    While a worker holds the target, its events are that worker's, and none fails.
    """
    values = {"target": target, "reason": reason, "traceback": traceback or None}
    return conn.execute(_FAIL, values).rowcount


def _quarantine_oldest(conn: Conn, lease: Lease) -> None:
    reason = f"{QUARANTINED}: it crashed its worker {MAX_CRASHES} times"
    for event in _read(conn, [lease.target], limit=1):
        conn.execute(_QUARANTINE, [reason, lease.attempts - 1, event.source, event.id])
        QUARANTINES.labels("event").inc()
        EVENTS_COMPLETED.labels("failed").inc()


def _read(conn: Conn, targets: Sequence[str], limit: int) -> list[WaitingEvent]:
    """The oldest waiting events of targets, at most `limit` in all."""
    if not targets:
        return []
    return [WaitingEvent(**row) for row in conn.execute(_WAITING, {"targets": list(targets), "limit": limit})]


def _columns(records: Sequence[EventRecord]) -> dict[str, Any]:
    fields = (
        "source",
        "id",
        "type",
        "occurred_at",
        "product_id",
        "market",
        "reason",
        "traceparent",
        "tracestate",
        "key_id",
    )
    columns: dict[str, Any] = {name: [getattr(each, name) for each in records] for name in fields}
    return columns | {
        "target": [each.target for each in records],
        "task_id": [each.task_id for each in records],
        "status": [each.status for each in records],
        # PostgreSQL's text cannot contain NUL.
        "data": [msgspec.json.encode(each.data).decode().replace("\\u0000", "\\ufffd") for each in records],
        "raw": [each.raw and each.raw.replace("\0", "\ufffd") for each in records],
    }


# Of events with the same time, the one recorded later counts, also within a batch: they are inserted by their keys. An
# event without a time, or with one ahead of this clock, is as of its receipt.
_RECORD = f"""
WITH known AS (
    SELECT source, id, type, CASE WHEN occurred_at <= statement_timestamp() + interval '5 seconds' THEN occurred_at
            ELSE statement_timestamp() + position * interval '1 microsecond' END AS occurred_at,
        data, product_id, market, target, task_id, reason, raw, traceparent, tracestate, status,
        statement_timestamp() + position * interval '1 microsecond' AS recorded_at, key_id
    FROM unnest(%(source)s::text[], %(id)s::text[], %(type)s::text[], %(occurred_at)s::timestamptz[],
        %(data)s::jsonb[], %(product_id)s::text[], %(market)s::text[], %(target)s::text[], %(task_id)s::uuid[],
        %(reason)s::text[], %(raw)s::text[], %(traceparent)s::text[], %(tracestate)s::text[], %(status)s::text[],
        %(position)s::integer[], %(key_id)s::bigint[])
    AS e (source, id, type, occurred_at, data, product_id, market, target, task_id, reason, raw, traceparent,
        tracestate, status, position, key_id)
), new AS (
    INSERT INTO market_events (source, id, type, occurred_at, data, product_id, market, target, task_id, reason, raw,
        traceparent, tracestate, status, recorded_at, key_id, applied_at)
    SELECT known.*, CASE WHEN status <> 'received' THEN clock_timestamp() END FROM known
    ON CONFLICT DO NOTHING RETURNING source, id, target
), due AS ({repricing_queue.MAKE_DUE})
SELECT source, id FROM new
"""  # noqa: S608 # only our own parts

_CONTRADICTING = """
SELECT n FROM unnest(%(source)s::text[], %(id)s::text[], %(type)s::text[], %(data)s::jsonb[])
    WITH ORDINALITY AS k (source, id, type, data, n)
JOIN market_events e USING (source, id) WHERE (e.type, e.data) IS DISTINCT FROM (k.type, k.data) ORDER BY n
"""

_ACCEPT = """
UPDATE market_events SET status = %(status)s, reason = NULL, traceback = NULL, product_id = %(product_id)s,
    market = %(market)s, target = %(target)s, task_id = %(task_id)s,
    applied_at = CASE WHEN %(status)s <> 'received' THEN clock_timestamp() END
WHERE source = %(source)s AND id = %(id)s
"""

_WAITING_COLUMNS = "source, id, type, occurred_at, data::text AS data, target, traceparent, tracestate, recorded_at"

_WAITING = f"""
SELECT {_WAITING_COLUMNS} FROM market_events WHERE status = 'received' AND target = ANY(%(targets)s)
ORDER BY recorded_at, id LIMIT %(limit)s
"""  # noqa: S608 # only names of columns

_OLDEST = f"""
SELECT e.* FROM unnest(%(targets)s::text[]) AS t (target) CROSS JOIN LATERAL (
    SELECT {_WAITING_COLUMNS} FROM market_events e WHERE e.status = 'received' AND e.target = t.target
    ORDER BY recorded_at LIMIT 1) e
"""  # noqa: S608 # only names of columns

_COMPLETE = """
WITH held AS MATERIALIZED (
    SELECT q.target, k.crashes FROM unnest(%(targets)s::text[], %(claims)s::bigint[], %(crashes)s::integer[])
        AS k (target, claim, crashes)
    JOIN repricing_queue q USING (target, claim) ORDER BY q.target FOR UPDATE OF q
), freed AS (
    UPDATE repricing_queue q SET lease_until = '-infinity', attempts = 0, crashes = held.crashes,
        due_at = CASE WHEN q.is_enqueued THEN q.due_at
            WHEN q.has_more THEN greatest(q.decided_at + make_interval(secs => %(every)s), clock_timestamp())
            ELSE (SELECT greatest(q.decided_at + make_interval(secs => %(every)s), p.next_due) FROM prices p
                WHERE p.product_id = q.target AND p.next_due IS NOT NULL) END
    FROM held WHERE q.target = held.target
)
UPDATE market_events e SET status = k.status, reason = k.reason, version = k.version, traceback = k.traceback,
    attempts = k.attempts, applied_at = clock_timestamp()
FROM unnest(%(sources)s::text[], %(ids)s::text[], %(of)s::text[], %(attempts)s::integer[], %(statuses)s::text[],
        %(reasons)s::text[], %(versions)s::bigint[], %(tracebacks)s::text[])
    AS k (source, id, target, attempts, status, reason, version, traceback)
    JOIN held USING (target)
WHERE e.source = k.source AND e.id = k.id AND e.status = 'received'
RETURNING k.target, e.id, e.type, e.status, e.reason, e.version,
    extract(epoch FROM e.applied_at - e.recorded_at)::float8 AS lag_s
"""

_FAIL = """
UPDATE market_events e SET status = 'failed', reason = %(reason)s, traceback = %(traceback)s,
    attempts = greatest(q.attempts, 1), applied_at = clock_timestamp()
FROM repricing_queue q
WHERE q.target = %(target)s AND q.lease_until <= clock_timestamp() AND e.target = q.target AND e.status = 'received'
"""

_QUARANTINE = """
UPDATE market_events SET status = 'failed', reason = %s, attempts = %s, applied_at = clock_timestamp()
WHERE source = %s AND id = %s AND status = 'received'
"""
