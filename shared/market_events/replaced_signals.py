"""The values that signals replaced: an undo gives a signal the value that it had before."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from shared.postgres import arrays
from shared.postgres.pools import Conn


class OldSignal(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `signals` that was replaced."""

    value: Decimal
    currency: str | None
    in_stock: bool
    occurred_at: datetime
    event_id: str
    shipping: Decimal | None
    expires_at: datetime | None


class Replaced(NamedTuple):
    """A signal that was applied, and what it replaced.

    Attributes:
        event_id: Its event; `feed`: it is of the market-data feed.
        old: The signal before; None: there was none.
        old_fact: The product's stock or cost before; None: it was not known, or the signal is another one.
        is_in_force: Whether the signal has this value still, and no person wrote its fact since.
    """

    product_id: str
    kind: str
    source: str
    event_id: str
    occurred_at: datetime
    replaced_at: datetime
    old: OldSignal | None
    old_fact: Decimal | None
    is_undone: bool
    is_in_force: bool


IsSubject = Callable[[Replaced], bool]


def since(conn: Conn, product_ids: Sequence[str], at: datetime) -> dict[str, list[Replaced]]:
    """The signals of products that were applied since an instant, and earlier ones that are undone, in their order."""
    found: dict[str, list[Replaced]] = defaultdict(list)
    for row in conn.execute(_SINCE, {"ids": arrays.texts(product_ids), "since": at}):
        old = None if row["old"] is None else msgspec.json.decode(row["old"], type=OldSignal, strict=False)
        found[row["product_id"]].append(Replaced(**{**row, "old": old}))
    return found


def back(applied: Sequence[Replaced], is_subject: IsSubject) -> list[Replaced]:
    """What the signals of a product go back to: for each register in question, the row whose old value it gets.

    Args:
        applied: Of `since`.
        is_subject: Whether the subject of the undo applied a signal.
    """
    found = []
    registers: dict[tuple[str, str], list[Replaced]] = defaultdict(list)
    for one in applied:
        registers[one.kind, one.source].append(one)
    for rows in registers.values():
        last = next((one for one in reversed(rows) if one.is_in_force), None)
        if last is None or not is_subject(last):
            continue
        by_identity = {(one.event_id, one.occurred_at): one for one in rows}
        while last.old is not None:
            before = by_identity.get((last.old.event_id, last.old.occurred_at))
            if before is None or before.replaced_at >= last.replaced_at:
                break
            if not (before.is_undone or is_subject(before)):
                break
            last = before
        found.append(last)
    return found


def restore(conn: Conn, found: Sequence[Replaced]) -> None:
    """Give signals, and the facts that follow them, their old values, with the products locked."""
    gone = [one for one in found if one.old is None]
    kept = [(one, one.old) for one in found if one.old is not None]
    if gone:
        conn.execute(_DELETE, {name: [getattr(one, name) for one in gone] for name in _KEY})
    if kept:
        columns: dict[str, Any] = {name: [getattr(one, name) for one, _ in kept] for name in _KEY}
        columns |= {name: [getattr(old, name) for _, old in kept] for name in OldSignal.__struct_fields__}
        conn.execute(_RESTORE, columns)
    for kind, query in (("stock", _SET_STOCK), ("cost", _SET_COST)):
        if facts := [one for one in found if one.kind == kind]:
            values = {"product_id": [one.product_id for one in facts], "value": [one.old_fact for one in facts]}
            conn.execute(query, values)


def note_undone(conn: Conn, applied: Sequence[Replaced]) -> None:
    """Note that these signals count no more, where a later one is in force, too."""
    if applied:
        conn.execute(_UNDONE, {name: [getattr(one, name) for one in applied] for name in (*_KEY, "replaced_at")})


_KEY = ("product_id", "kind", "source")
_KEYS = "unnest(%(product_id)s::text[], %(kind)s::text[], %(source)s::text[]"

_SINCE = """
SELECT r.product_id, r.kind, r.source, r.event_id, r.occurred_at, r.replaced_at, r.old_signal::text AS old, r.old_fact,
    r.is_undone, coalesce(s.event_id = r.event_id AND s.occurred_at = r.occurred_at, false)
        AND NOT (r.kind IN ('stock', 'cost') AND p.updated_at > r.occurred_at) AS is_in_force
FROM replaced_signals r JOIN products p USING (product_id) LEFT JOIN signals s USING (product_id, kind, source)
WHERE r.product_id = ANY(%(ids)s::text[]) AND (r.replaced_at >= %(since)s OR r.is_undone)
ORDER BY r.product_id, r.replaced_at
"""

_DELETE = f"""
DELETE FROM signals s USING {_KEYS}) AS f (product_id, kind, source)
WHERE (s.product_id, s.kind, s.source) = (f.product_id, f.kind, f.source)
"""  # noqa: S608 # only our own parts

_RESTORE = f"""
UPDATE signals s SET value = f.value, currency = f.currency, in_stock = f.in_stock, occurred_at = f.occurred_at,
    event_id = f.event_id, shipping = f.shipping, expires_at = f.expires_at
FROM {_KEYS}, %(value)s::numeric[], %(currency)s::text[], %(in_stock)s::boolean[], %(occurred_at)s::timestamptz[],
    %(event_id)s::text[], %(shipping)s::numeric[], %(expires_at)s::timestamptz[])
    AS f (product_id, kind, source, value, currency, in_stock, occurred_at, event_id, shipping, expires_at)
WHERE (s.product_id, s.kind, s.source) = (f.product_id, f.kind, f.source)
"""  # noqa: S608 # only our own parts

_SET_FACT = """
UPDATE products p SET {} FROM unnest(%(product_id)s::text[], %(value)s::numeric[]) AS f (product_id, value)
WHERE p.product_id = f.product_id
"""
_SET_STOCK = _SET_FACT.format("stock = f.value::integer")
_SET_COST = _SET_FACT.format("cost = f.value")

_UNDONE = f"""
UPDATE replaced_signals r SET is_undone = true
FROM {_KEYS}, %(replaced_at)s::timestamptz[]) AS f (product_id, kind, source, replaced_at)
WHERE (r.product_id, r.replaced_at, r.kind, r.source) = (f.product_id, f.replaced_at, f.kind, f.source)
"""  # noqa: S608 # only our own parts
