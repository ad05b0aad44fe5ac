"""Paces: the events of a product are decided at once, and then at most once a second.

A target is a product's id, or a market's code behind a `#`. Its row says when its events were last decided,
until when a worker is at it, and when to ring for it next. Whoever finds that it is too early leaves `due_at`
there, and the sweep rings then: a burst of events costs no message each, and its last one is not forgotten.
"""

from collections.abc import Iterable

from shared.postgres.leases import LEASE_S
from shared.postgres.pools import Conn

INTERVAL_S = 1
# A ring that nobody answered is repeated.
REDELIVER_AFTER_S = 20


def market_target(code: str) -> str:
    """The target of a market; no product's id begins so."""
    return f"#{code}"


def to_ring(conn: Conn, targets: Iterable[str]) -> set[str]:
    """For which of these targets to ring now; for the others a ring is under way, or is due in time."""
    rows = conn.execute(_TO_RING, {"targets": sorted(set(targets)), "every": INTERVAL_S, "again": REDELIVER_AFTER_S})
    return {row["target"] for row in rows if row["is_now"]}


def not_rung(conn: Conn, targets: Iterable[str]) -> None:
    """Have the sweep ring for targets for which it could not be done now."""
    conn.execute("UPDATE repricing_queue SET due_at = clock_timestamp() WHERE target = ANY(%s)", [sorted(set(targets))])


def take_due(conn: Conn, limit: int = 1000) -> list[str]:
    """Targets for which to ring because it is time; nobody else gets them for 20 s."""
    return [row["target"] for row in conn.execute(_TAKE_DUE, {"limit": limit, "again": REDELIVER_AFTER_S})]


def drop_due(conn: Conn, targets: Iterable[str]) -> None:
    """Nothing waits there any more."""
    conn.execute("UPDATE repricing_queue SET due_at = NULL WHERE target = ANY(%s)", [sorted(set(targets))])


def begin(conn: Conn, target: str) -> bool:
    """Be the one worker at a target's events; False where it is too early or another one is at it.

    What waits then is rung for in time. To be committed together with `events.begin`.
    """
    values = {"target": target, "every": INTERVAL_S, "lease": LEASE_S}
    if conn.execute(_BEGIN, values).rowcount:
        return True
    conn.execute(_DEFER, values)
    return False


def decided(conn: Conn, target: str) -> None:
    """A decision begins now: the next one is due a second later."""
    conn.execute("UPDATE repricing_queue SET decided_at = clock_timestamp() WHERE target = %s", [target])


def end(conn: Conn, target: str) -> None:
    """No longer be at it; what came meanwhile is due a second after the decision."""
    conn.execute(_END, {"target": target, "every": INTERVAL_S})


_NEXT = "p.decided_at + make_interval(secs => %(every)s)"

_TO_RING = f"""
INSERT INTO repricing_queue AS p (target, due_at)
SELECT target, clock_timestamp() + make_interval(secs => %(again)s) FROM unnest(%(targets)s::text[]) AS t (target)
ON CONFLICT (target) DO UPDATE
SET due_at = CASE WHEN {_NEXT} > clock_timestamp() THEN {_NEXT} ELSE excluded.due_at END
WHERE p.due_at IS NULL OR p.due_at <= clock_timestamp()
RETURNING target, {_NEXT} <= clock_timestamp() AS is_now
"""  # noqa: S608 # only our own parts

_TAKE_DUE = """
UPDATE repricing_queue SET due_at = clock_timestamp() + make_interval(secs => %(again)s) WHERE target IN (
    SELECT target FROM repricing_queue WHERE due_at <= clock_timestamp()
    ORDER BY due_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
RETURNING target
"""

_BEGIN = f"""
INSERT INTO repricing_queue AS p (target, lease_until)
VALUES (%(target)s, clock_timestamp() + make_interval(secs => %(lease)s))
ON CONFLICT (target) DO UPDATE SET due_at = NULL, lease_until = excluded.lease_until
WHERE {_NEXT} <= clock_timestamp() AND p.lease_until <= clock_timestamp()
"""  # noqa: S608 # only our own parts

_DEFER = f"""
UPDATE repricing_queue p SET due_at = greatest({_NEXT}, p.lease_until) WHERE p.target = %(target)s
"""  # noqa: S608 # only our own parts

_END = f"""
UPDATE repricing_queue p SET lease_until = '-infinity',
    due_at = CASE WHEN p.due_at IS NOT NULL THEN greatest({_NEXT}, clock_timestamp()) END
WHERE p.target = %(target)s
"""  # noqa: S608 # only our own parts
