"""The repricing queue: the products and markets that are due, and the leases of the workers that hold them.

A target is a product's id, or a market's code behind a `#`. Recording an event makes its target due (`inbox.record`),
in the same statement. A target is decided at once, and then at most once a second. Events in between wait for the end
of that second, so a burst does not enqueue a message per event.

`due_at` is the single due time of a target. For a waiting target it is the time to enqueue it, for an enqueued one the
time to enqueue it again, and for a held one the end of the lease. After any crash the target is thus due again. A
product for which nothing waits is due when an input of its decision changes by itself (`prices.next_due`).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from shared.errors import LeaseLost
from shared.postgres import arrays
from shared.postgres.leases import LEASE_S
from shared.postgres.pools import Conn

INTERVAL_S = 1
# A message that no worker took is sent again after this time. Longer than Dramatiq's delay before a retry (12.8 s).
REDELIVER_AFTER_S = 20


class DueTarget(msgspec.Struct, frozen=True):
    """A target to enqueue. `crashes` counts the starts that never ended; a target with crashes is enqueued alone."""

    target: str
    crashes: int


class Lease(msgspec.Struct, frozen=True):
    """A target that this worker holds, for 12 s.

    Attributes:
        claim: Grows with each start; the holder of an older claim writes nothing.
        attempts: The starts since the last completion, this one included.
        crashes: The starts among them that never ended, this one included.
    """

    target: str
    claim: int
    attempts: int
    crashes: int


def market_target(code: str) -> str:
    """The target of a market; no product's id starts with `#`."""
    return f"#{code}"


def make_due(conn: Conn, targets: Iterable[str]) -> None:
    """Make targets due now, or a second after their last decision where that is later."""
    conn.execute(f"WITH new AS (SELECT unnest(%(targets)s::text[]) AS target) {MAKE_DUE}", _values(targets))  # our own


def schedule(conn: Conn, due: Mapping[str, datetime]) -> None:
    """Make products due at these instants, or earlier; one that a worker holds is due again when it completes."""
    if due:
        conn.execute(_SCHEDULE, {"targets": arrays.texts(due), "due": arrays.instants(due.values())})


def wake(conn: Conn, product_ids: Sequence[str]) -> None:
    """Make those of these new products due for which events wait."""
    conn.execute(_WAKE, {"targets": arrays.texts(product_ids)})


def take_due(conn: Conn, targets: Sequence[str] | None = None, limit: int = 1000) -> list[DueTarget]:
    """Take due targets to enqueue, the longest due first; they are not taken again for 20 s.

    With `targets` only these are taken, without it any. In a transaction of its own: if PostgreSQL crashes before it is
    on the disk, they are due again.
    """
    values = {"targets": None if targets is None else list(targets), "limit": limit, "again": REDELIVER_AFTER_S}
    rows = conn.execute(_TAKE_ANY if targets is None else _TAKE_THESE, values)
    return [DueTarget(row["target"], row["crashes"]) for row in rows]


def not_enqueued(conn: Conn, targets: Iterable[str]) -> None:
    """Make targets due again that were taken and could not be enqueued."""
    conn.execute(_NOT_ENQUEUED, _values(targets))


def begin(conn: Conn, targets: Iterable[str]) -> list[Lease]:
    """Hold the targets that are free and were not decided within the last second; the others become due in time.

    The start is counted before the work: commit at once. A crash of PostgreSQL, which is no crash of the worker, may
    lose the count; it also ends the worker's transaction.
    """
    values = _values(targets)
    rows = conn.execute(_BEGIN, values | {"lease": LEASE_S})
    leases = [Lease(row["target"], row["claim"], row["attempts"], row["crashes"]) for row in rows]
    if refused := set(values["targets"]) - {lease.target for lease in leases}:
        conn.execute(_DEFER, _values(refused))
    return sorted(leases, key=lambda lease: lease.target)


def is_first(lease: Lease) -> bool:
    """Whether there was no earlier attempt that may have written a price without completing its events."""
    return lease.attempts == 1 and lease.crashes == 1


def hold(conn: Conn, leases: Sequence[Lease]) -> None:
    """Check, before a commit, that this worker still holds its targets.

    Raises:
        LeaseLost: another worker holds one of them.
    """
    held = conn.execute(_HELD, _of(leases)).fetchone()
    if held is None or held["n"] != len(leases):
        raise LeaseLost("this worker has lost a target")


def release(conn: Conn, leases: Sequence[Lease]) -> bool:
    """End a failed attempt that is not a crash: Dramatiq retries it, and after 20 s the sweep does.

    Returns:
        Whether this worker still held all of its targets.
    """
    return conn.execute(_RELEASE, _of(leases) | {"again": REDELIVER_AFTER_S}).rowcount == len(leases)


def forget(conn: Conn, targets: Iterable[str]) -> None:
    """Remove targets that exist no more. Where events wait for one, its row stays: a worker rejects them."""
    conn.execute(_FORGET, _values(targets))


def trust(conn: Conn, targets: Iterable[str]) -> None:
    """Reset the crashes of targets: none of their events is the cause."""
    conn.execute(f"UPDATE repricing_queue SET crashes = 0 WHERE target IN ({_THESE.format('')})", _values(targets))  # noqa: S608 # as above


def _values(targets: Iterable[str]) -> dict[str, list[str]]:
    return {"targets": sorted(set(targets))}


def _of(leases: Sequence[Lease]) -> dict[str, object]:
    return {"targets": [lease.target for lease in leases], "claims": [lease.claim for lease in leases]}


# For RETURNING. The commit of this transaction does not wait for the disk; the next one that does writes it, too. A
# statement of its own would take as long as the work.
_SOON_ON_DISK = "set_config('synchronous_commit', 'off', true)"

_NEXT = f"q.decided_at + make_interval(secs => {INTERVAL_S})"

# Reads the rows `new (target)`. An enqueued target keeps its due time: its message finds the event. A target that is
# due earlier keeps its due time, too. `has_more` makes a held target due again at the end of its attempt.
MAKE_DUE = f"""
INSERT INTO repricing_queue AS q (target, due_at, has_more)
SELECT target, clock_timestamp(), true FROM new WHERE target IS NOT NULL GROUP BY target ORDER BY target
ON CONFLICT (target) DO UPDATE SET has_more = true, due_at = CASE
    WHEN q.is_enqueued AND q.due_at IS NOT NULL THEN q.due_at
    ELSE least(q.due_at, greatest({_NEXT}, clock_timestamp())) END
WHERE NOT q.has_more OR q.due_at IS NULL OR (NOT q.is_enqueued AND q.due_at > greatest({_NEXT}, clock_timestamp()))
"""  # noqa: S608 # only our own parts

_SCHEDULE = f"""
INSERT INTO repricing_queue AS q (target, due_at)
SELECT target, due_at FROM unnest(%(targets)s::text[], %(due)s::timestamptz[]) AS f (target, due_at) ORDER BY target
ON CONFLICT (target) DO UPDATE SET has_more = q.has_more OR q.lease_until > clock_timestamp(),
    due_at = CASE WHEN q.lease_until > clock_timestamp() OR (q.is_enqueued AND q.due_at IS NOT NULL) THEN q.due_at
        ELSE least(q.due_at, greatest({_NEXT}, excluded.due_at)) END
"""  # noqa: S608 # only our own parts

_WAKE = """
UPDATE repricing_queue SET has_more = true,
    due_at = CASE WHEN lease_until > clock_timestamp() THEN due_at ELSE clock_timestamp() END
WHERE target IN (SELECT target FROM repricing_queue WHERE target = ANY(%(targets)s::text[]) ORDER BY target FOR UPDATE)
"""

_FORGET = """
DELETE FROM repricing_queue WHERE target IN (SELECT target FROM repricing_queue
    WHERE target = ANY(%(targets)s) AND NOT has_more AND lease_until <= clock_timestamp() ORDER BY target FOR UPDATE)
"""

# `due_at` is compared with the statement's start, so that the index is used: targets that are due later cost nothing.
_TAKE = f"""
UPDATE repricing_queue SET due_at = clock_timestamp() + make_interval(secs => %(again)s), is_enqueued = true
WHERE target IN (SELECT target FROM repricing_queue WHERE due_at <= statement_timestamp() {{}}
    ORDER BY due_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
RETURNING target, crashes, {_SOON_ON_DISK}
"""  # noqa: S608 # only our own parts
_TAKE_ANY = _TAKE.format("")
_TAKE_THESE = _TAKE.format("AND target = ANY(%(targets)s)")

# Every statement locks its rows in the order of their targets, so that no two statements deadlock.
_THESE = "SELECT target FROM repricing_queue WHERE target = ANY(%(targets)s) {} ORDER BY target FOR UPDATE"

_NOT_ENQUEUED = f"""
UPDATE repricing_queue SET due_at = clock_timestamp(), is_enqueued = false
WHERE target IN ({_THESE.format("AND is_enqueued")})
"""  # noqa: S608 # only our own parts

_BEGIN = f"""
WITH free AS MATERIALIZED (
    SELECT target, clock_timestamp() AS now FROM repricing_queue q
    WHERE target = ANY(%(targets)s) AND {_NEXT} <= clock_timestamp() AND q.lease_until <= clock_timestamp()
    ORDER BY target FOR UPDATE)
UPDATE repricing_queue q SET claim = claim + 1, attempts = attempts + 1, crashes = crashes + 1, is_enqueued = false,
    has_more = false,
    decided_at = free.now, lease_until = free.now + make_interval(secs => %(lease)s),
    due_at = free.now + make_interval(secs => %(lease)s)
FROM free WHERE q.target = free.target
RETURNING q.target, q.claim, q.attempts, q.crashes, {_SOON_ON_DISK}
"""  # noqa: S608 # only our own parts

_DEFER = f"""
UPDATE repricing_queue q SET due_at = greatest({_NEXT}, q.lease_until), is_enqueued = false, has_more = true
WHERE target IN ({_THESE.format("AND is_enqueued")})
RETURNING {_SOON_ON_DISK}
"""  # noqa: S608 # only our own parts

_HELD = """
SELECT count(*) AS n FROM unnest(%(targets)s::text[], %(claims)s::bigint[]) AS k (target, claim)
JOIN repricing_queue q USING (target, claim) WHERE q.lease_until > clock_timestamp()
"""

_RELEASE = """
WITH held AS MATERIALIZED (
    SELECT q.target FROM unnest(%(targets)s::text[], %(claims)s::bigint[]) AS k (target, claim)
    JOIN repricing_queue q USING (target, claim) ORDER BY q.target FOR UPDATE OF q)
UPDATE repricing_queue q SET lease_until = '-infinity', decided_at = '-infinity', crashes = greatest(crashes - 1, 0),
    due_at = clock_timestamp() + make_interval(secs => %(again)s), is_enqueued = true
FROM held WHERE q.target = held.target
"""
