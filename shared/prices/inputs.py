"""The inputs of decisions, read in bulk: products with their signals and current sheets."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from psycopg.rows import tuple_row

from shared.catalogue.product_set import ProductFilter
from shared.catalogue.products import FIELDS
from shared.postgres import arrays
from shared.postgres.pools import Conn
from shared.pricing.product import ProductInput, Tier
from shared.pricing.signal import Signal
from shared.telemetry.metrics import LOCK_WAIT


class StoredProduct(ProductInput, frozen=True, kw_only=True):
    """A product of the catalogue, which was checked when it was written."""

    def __post_init__(self) -> None:
        """Skip the check."""


class StoredSignal(Signal, frozen=True, kw_only=True):
    """A signal of its register, which was checked when it was applied."""

    def __post_init__(self) -> None:
        """Skip the check."""


class CurrentPrice(msgspec.Struct, frozen=True):
    """The fields of the current sheet that a decision needs."""

    version: int
    currency: str
    published_price: Decimal
    computed_at: datetime


class PricingInputs(msgspec.Struct, frozen=True):
    """The inputs of the decision about one product.

    Attributes:
        sheet: The JSON of the current sheet; None: the product has no price yet.
        last: The decoded fields of that sheet; None likewise.
        cause: The kind and the id of that sheet's cause; None likewise.
        deleted_version: The version of the product's last deletion; 0: it was never deleted.
    """

    product: ProductInput
    signals: Sequence[Signal]
    sheet: str | None
    last: CurrentPrice | None
    cause: tuple[str, str] | None
    deleted_version: int = 0


def lock_and_read(conn: Conn, chosen: ProductFilter) -> list[PricingInputs]:
    """Lock products in the order of their ids, so that two such calls never deadlock, and read their states.

    The lock is a separate statement: READ COMMITTED takes a statement's snapshot before it waits for locks.
    """
    with LOCK_WAIT.labels("decision").time():
        rows = _rows(conn, _LOCK.format(chosen.condition), chosen.values)
    products = [_product(row) for row in rows]
    ids = arrays.texts(product.product_id for product in products)
    priced = {row[0]: row for row in _rows(conn, _PRICED, {"ids": ids})}
    signals = _signals(conn, ids)
    deleted = dict(_rows(conn, _DELETED, {"ids": ids})) if len(priced) < len(products) else {}
    return [
        _state(
            product,
            signals.get(product.product_id, ()),
            priced.get(product.product_id),
            deleted.get(product.product_id, 0),
        )
        for product in products
    ]


def ids(conn: Conn, chosen: ProductFilter) -> list[str]:
    """The ids of the chosen products, without a lock."""
    query = f"SELECT p.product_id FROM products p WHERE {chosen.condition}"  # noqa: S608 # our own condition
    return [row[0] for row in _rows(conn, query, chosen.values)]


def _rows(conn: Conn, query: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    with conn.cursor(row_factory=tuple_row) as cursor:
        return cursor.execute(query.encode(), values).fetchall()


def _product(row: tuple[Any, ...]) -> ProductInput:
    *fields, tiers = row
    known = dict(zip(FIELDS, fields, strict=True))
    return StoredProduct(**known, tiers=() if tiers == "[]" else _tiers.decode(tiers))


def _signals(conn: Conn, ids: str) -> Mapping[str, list[Signal]]:
    found: dict[str, list[Signal]] = defaultdict(list)
    for product_id, kind, source, value, currency, in_stock in _rows(conn, _SIGNALS, {"ids": ids}):
        found[product_id].append(
            StoredSignal(kind=kind, source=source, value=value, currency=currency, in_stock=in_stock)
        )
    return found


def _state(
    product: ProductInput, signals: Sequence[Signal], priced: tuple[Any, ...] | None, deleted_version: int
) -> PricingInputs:
    if priced is None:
        return PricingInputs(product, signals, None, None, None, deleted_version)
    _, sheet, *cause = priced
    return PricingInputs(product, signals, sheet, _last.decode(sheet), (cause[0], cause[1]))


_tiers = msgspec.json.Decoder(tuple[Tier, ...])
_last = msgspec.json.Decoder(CurrentPrice)

# In byte order, whatever the database's collation: products are written in the same order.
_LOCK = f"""
SELECT {", ".join(f"p.{name}" for name in FIELDS)}, p.tiers::text FROM products p WHERE {{}}
ORDER BY p.product_id COLLATE "C" FOR UPDATE
"""  # noqa: S608 # only names of columns

_PRICED = """
SELECT product_id, sheet, cause, cause_id FROM prices
WHERE product_id = ANY(%(ids)s::text[])
"""

_DELETED = "SELECT product_id, version FROM deleted_prices WHERE product_id = ANY(%(ids)s::text[])"

_SIGNALS = """
SELECT product_id, kind, source, value, currency, in_stock FROM signals
WHERE product_id = ANY(%(ids)s::text[]) AND kind IN ('competitor', 'demand')
"""
