"""Earlier market values, to which an undo goes back."""

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from shared.postgres.pools import Conn
from shared.pricing.market import location_key
from shared.rulebook.values import Kind, NewValue


class PastValue(NamedTuple):
    """A value that is or was in force.

    Attributes:
        cause_id: Names an event.
        is_undone: Whether an applied undo took that event back.
        is_restored: Whether an undo set it: it stands for the earlier row of the same value.
    """

    name: str
    value: Decimal | None
    since: datetime
    cause: str
    cause_id: str
    is_undone: bool
    is_restored: bool

    @property
    def is_automated(self) -> bool:
        """Whether an event set it, and no person."""
        return self.cause == "event"


def as_of(conn: Conn, version: int, named: Sequence[NewValue]) -> list[Decimal | None]:
    """The values of these names in a version that are in force now; None: there was none."""
    found = []
    for one in named:
        values = {"kind": one.kind, "key": _key(one.kind, one.name), "version": version}
        row = conn.execute(_AS_OF, values).fetchone()
        found.append(None if row is None else row["value"])
    return found


def before(conn: Conn, market: str, is_subject: Callable[[PastValue], bool]) -> NewValue | None:
    """The multiplier of a market before a subject set it.

    Values of events that are undone count no more. A value that an undo set stands for the one that it brought back.

    Args:
        conn: In a transaction.
        market: The market's code.
        is_subject: Whether the subject set a value.

    Returns:
        None: the multiplier in force is not the subject's.
    """
    rows = _standing([PastValue(**row) for row in conn.execute(_PAST, {"key": location_key(market)})])
    if not rows or not is_subject(rows[0]):
        return None
    kept = next((row for row in rows if not is_subject(row) and not row.is_undone), None)
    return NewValue("multiplier", rows[0].name, None if kept is None else kept.value)


def _standing(rows: Sequence[PastValue]) -> list[PastValue]:
    """The rows, the newest first, without those that an undo took back."""
    found: list[PastValue] = []
    restored: PastValue | None = None
    for row in rows:
        if restored is not None and row.value != restored.value:
            continue
        restored = row if row.is_restored else None
        if not row.is_restored:
            found.append(row)
    return found


def automated_since(conn: Conn, at: datetime) -> list[str]:
    """The markets whose multiplier an event has set since an instant."""
    return [row["name"] for row in conn.execute(_AUTOMATED, [at])]


def _key(kind: Kind, name: str) -> str:
    return location_key(name) if kind == "multiplier" else name


_AS_OF = """
SELECT value FROM market_values
WHERE kind = %(kind)s AND key = %(key)s AND version <= %(version)s AND since <= clock_timestamp()
ORDER BY since DESC, seq DESC LIMIT 1
"""

_PAST = """
SELECT v.name, v.value, v.since, v.cause, v.cause_id, v.cause = 'event' AND EXISTS (
    SELECT FROM plans p WHERE p.applied_version IS NOT NULL AND p.options->'undo'->>'kind' = 'event'
        AND p.options->'undo'->>'id' = v.cause_id) AS is_undone,
    EXISTS (SELECT FROM plans p WHERE 'plan ' || p.plan_id = v.cause AND p.options ? 'undo') AS is_restored
FROM market_values v WHERE v.kind = 'multiplier' AND v.key = %(key)s AND v.since <= clock_timestamp()
ORDER BY v.since DESC, v.seq DESC
"""

_AUTOMATED = """
SELECT min(name) AS name FROM market_values
WHERE kind = 'multiplier' AND cause = 'event' AND since >= %s GROUP BY key ORDER BY 1
"""
