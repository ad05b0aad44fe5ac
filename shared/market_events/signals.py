"""Signals: registers with the latest value each, and the product facts that events change."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from shared.market_events import signal_sources
from shared.market_events.events import CompetitorPriceChanged, CostChanged, DemandChanged, EventData, StockChanged
from shared.postgres.arrays import numbers
from shared.postgres.pools import Conn

# A signal's product, its kind, and its source: the competitor, or the sender of the measurement.
Register = tuple[str, str, str]


class SignalUpdate(msgspec.Struct, frozen=True):
    """A new value for one register; `sender` is the source of its event."""

    product_id: str
    kind: str
    source: str
    value: Decimal
    currency: str | None
    in_stock: bool
    occurred_at: datetime
    event_id: str
    shipping: Decimal | None = None
    expires_at: datetime | None = None
    sender: str = ""

    @classmethod
    def of(cls, data: EventData, source: str, occurred_at: datetime, event_id: str) -> "SignalUpdate":
        """The update that an event makes; stock and cost have one register per product, for all senders."""
        match data:
            case CompetitorPriceChanged():
                kind, by, value = "competitor", data.competitor, data.price
            case DemandChanged():
                kind, by, value = "demand", source, data.index
            case StockChanged():
                kind, by, value = "stock", "", Decimal(data.stock)
            case CostChanged():
                kind, by, value = "cost", "", data.cost
            case _:
                raise TypeError(f"{type(data).__name__} is not a signal of a product")
        currency, in_stock = getattr(data, "currency", None), getattr(data, "in_stock", True)
        shipping, expires_at = getattr(data, "shipping", None), getattr(data, "expires_at", None)
        return cls(
            data.product_id, kind, by, value, currency, in_stock, occurred_at, event_id, shipping, expires_at, source
        )

    @property
    def register(self) -> Register:
        """The register of the update."""
        return self.product_id, self.kind, self.source


def held(conn: Conn, updates: Sequence[SignalUpdate]) -> set[Register]:
    """The registers that already hold their update, because an earlier attempt applied it."""
    rows = conn.execute(_HELD, [[update.product_id for update in updates]])
    known = {((row["product_id"], row["kind"], row["source"]), row["occurred_at"], row["event_id"]) for row in rows}
    return {update.register for update in updates if (update.register, update.occurred_at, update.event_id) in known}


def apply(conn: Conn, updates: Sequence[SignalUpdate]) -> set[Register]:
    """Write updates into their registers, in the caller's transaction with the products' rows locked.

    The later `occurred_at` wins, in whatever order they arrive; of equal times the one applied later.
    A write of a product is newer than stock and cost from before it.

    Args:
        conn: In a transaction.
        updates: At most one per register.

    Returns:
        The registers that now hold their update; the others hold a later event.
    """
    if not updates:
        return set()
    fields = SignalUpdate.__struct_fields__
    columns = {name: [getattr(update, name) for update in updates] for name in fields}
    won = {(row["product_id"], row["kind"], row["source"]) for row in conn.execute(_APPLY, columns)}
    signal_sources.note(conn, ((update.kind, update.sender, update.occurred_at) for update in updates))
    for kind, query in (("stock", _SET_STOCK), ("cost", _SET_COST)):
        facts = [update for update in updates if update.kind == kind and update.register in won]
        if facts:
            values = numbers(update.value for update in facts)
            conn.execute(query, {"product_id": [update.product_id for update in facts], "value": values})
    return won


def measured(conn: Conn, product_ids: Sequence[str]) -> dict[tuple[str, str], datetime]:
    """The time of the event that set the stock or the cost of products, by product and kind."""
    rows = conn.execute(_MEASURED, [list(product_ids)])
    return {(row["product_id"], row["kind"]): row["occurred_at"] for row in rows}


_MEASURED = """
SELECT product_id, kind, occurred_at FROM signals WHERE product_id = ANY(%s) AND kind IN ('stock', 'cost')
"""

_HELD = "SELECT product_id, kind, source, occurred_at, event_id FROM signals WHERE product_id = ANY(%s)"

# What was there before is kept for an undo. All parts of the statement read the tables as they were before it.
_APPLY = """
WITH f AS MATERIALIZED (
    SELECT * FROM unnest(%(product_id)s::text[], %(kind)s::text[], %(source)s::text[], %(value)s::numeric[],
        %(currency)s::text[], %(in_stock)s::boolean[], %(occurred_at)s::timestamptz[], %(event_id)s::text[],
        %(shipping)s::numeric[], %(expires_at)s::timestamptz[])
    AS f (product_id, kind, source, value, currency, in_stock, occurred_at, event_id, shipping, expires_at)
), won AS (
    INSERT INTO signals AS s (product_id, kind, source, value, currency, in_stock, occurred_at, event_id, shipping,
        expires_at)
    SELECT * FROM f
    WHERE f.kind NOT IN ('stock', 'cost') OR NOT EXISTS (
        SELECT FROM products p WHERE p.product_id = f.product_id AND p.updated_at > f.occurred_at)
    ON CONFLICT (product_id, kind, source) DO UPDATE SET value = excluded.value, currency = excluded.currency,
        in_stock = excluded.in_stock, occurred_at = excluded.occurred_at, event_id = excluded.event_id,
        shipping = excluded.shipping, expires_at = excluded.expires_at
    WHERE s.occurred_at <= excluded.occurred_at
    RETURNING product_id, kind, source, event_id, occurred_at
), kept AS (
    INSERT INTO replaced_signals (product_id, kind, source, event_id, occurred_at, old_signal, old_fact)
    SELECT w.*, (SELECT to_jsonb(o) FROM signals o
            WHERE (o.product_id, o.kind, o.source) = (w.product_id, w.kind, w.source)),
        CASE w.kind WHEN 'stock' THEN p.stock WHEN 'cost' THEN p.cost END
    FROM won w JOIN products p USING (product_id)
)
SELECT product_id, kind, source FROM won
"""

_SET_FACT = """
UPDATE products p SET {} FROM unnest(%(product_id)s::text[], %(value)s::numeric[]) AS f (product_id, value)
WHERE p.product_id = f.product_id
"""
_SET_STOCK = _SET_FACT.format("stock = f.value::integer")
_SET_COST = _SET_FACT.format("cost = f.value")
