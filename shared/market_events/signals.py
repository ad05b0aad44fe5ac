"""Signals: registers of what the market said last, and the product facts that events change."""

from datetime import datetime
from decimal import Decimal

from shared.errors import InvalidInput
from shared.market_events.events import CompetitorPriceChanged, CostChanged, DemandChanged, EventData, StockChanged
from shared.postgres.pools import Conn


def apply(conn: Conn, data: EventData, source: str, occurred_at: datetime, event_id: str) -> bool:
    """Put an event into its register, in the caller's transaction with the product's row locked.

    The later (`occurred_at`, `event_id`) wins, whatever order they come in; the same event again is no change.

    Returns:
        Whether the register now holds this event; False: a later one does.

    Raises:
        InvalidInput: the cost is in another currency than the product.
    """
    match data:
        case CompetitorPriceChanged():
            return _put(
                conn, data.product_id, "competitor", data.competitor, data.price, occurred_at, event_id,
                currency=data.currency, in_stock=data.in_stock,
            )  # fmt: skip
        case DemandChanged():
            return _put(conn, data.product_id, "demand", source, data.index, occurred_at, event_id)
        case StockChanged():
            won = _put(conn, data.product_id, "stock", "", Decimal(data.stock), occurred_at, event_id)
            if won:
                conn.execute("UPDATE products SET stock = %s WHERE product_id = %s", [data.stock, data.product_id])
            return won
        case CostChanged():
            _check_currency(conn, data)
            won = _put(conn, data.product_id, "cost", "", data.cost, occurred_at, event_id, currency=data.currency)
            if won:
                conn.execute("UPDATE products SET cost = %s WHERE product_id = %s", [data.cost, data.product_id])
            return won
        case _:
            raise TypeError(f"{type(data).__name__} is no signal of a product")


def register(data: EventData, source: str) -> tuple[str, str]:
    """The register of its product that an event goes into: its kind, and the competitor or who measured."""
    match data:
        case CompetitorPriceChanged():
            return "competitor", data.competitor
        case DemandChanged():
            return "demand", source
        case _:
            return data.type, ""


def _put(
    conn: Conn,
    product_id: str,
    kind: str,
    source: str,
    value: Decimal,
    occurred_at: datetime,
    event_id: str,
    *,
    currency: str | None = None,
    in_stock: bool = True,
) -> bool:
    row = conn.execute(
        """
        INSERT INTO signals AS s (product_id, kind, source, value, currency, in_stock, occurred_at, event_id)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (product_id, kind, source) DO UPDATE SET value = excluded.value, currency = excluded.currency,
            in_stock = excluded.in_stock, occurred_at = excluded.occurred_at, event_id = excluded.event_id
        WHERE (s.occurred_at, s.event_id) <= (excluded.occurred_at, excluded.event_id)
        RETURNING 1
        """,
        [product_id, kind, source, value, currency, in_stock, occurred_at, event_id],
    ).fetchone()
    return row is not None


def _check_currency(conn: Conn, data: CostChanged) -> None:
    row = conn.execute("SELECT currency FROM products WHERE product_id = %s", [data.product_id]).fetchone()
    if row and row["currency"] != data.currency:
        raise InvalidInput(f"the product is in {row['currency']}", "$.data.currency")
