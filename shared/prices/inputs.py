"""What a decision reads, in bulk: products with their signals and the sheet that stands."""

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
    """A product as the catalogue holds it: it was checked when it was written."""

    def __post_init__(self) -> None:
        """Check nothing again."""


class StoredSignal(Signal, frozen=True, kw_only=True):
    """A signal as its register holds it: it was checked when it was applied."""

    def __post_init__(self) -> None:
        """Check nothing again."""


class CurrentPrice(msgspec.Struct, frozen=True):
    """What a decision needs of the sheet that stands."""

    version: int
    currency: str
    published_price: Decimal
    computed_at: datetime


class PricingInputs(msgspec.Struct, frozen=True):
    """All that a decision about one product reads.

    Attributes:
        sheet: The JSON of the sheet that stands; None: it has no price yet.
        last: The same, read; None likewise.
        cause: The kind and the id of the cause of that sheet; None: it has no price yet.
    """

    product: ProductInput
    signals: Sequence[Signal]
    sheet: str | None
    last: CurrentPrice | None
    cause: tuple[str, str] | None


def lock_and_read(conn: Conn, chosen: ProductFilter) -> list[PricingInputs]:
    """Lock products in the order of their ids, so that two such calls never deadlock, and read their states.

    The lock is a statement of its own: what one statement reads beside its lock is as old as its start.
    """
    with LOCK_WAIT.labels("decision").time():
        rows = _rows(conn, _LOCK.format(chosen.condition), chosen.values)
    products = [_product(row) for row in rows]
    ids = arrays.texts(product.product_id for product in products)
    priced = {row[0]: row for row in _rows(conn, _PRICED, {"ids": ids})}
    signals = _signals(conn, ids)
    return [
        _state(product, signals.get(product.product_id, ()), priced.get(product.product_id)) for product in products
    ]


def ids(conn: Conn, chosen: ProductFilter) -> list[str]:
    """The products of a chosen, without a lock."""
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


def _state(product: ProductInput, signals: Sequence[Signal], priced: tuple[Any, ...] | None) -> PricingInputs:
    if priced is None:
        return PricingInputs(product, signals, None, None, None)
    _, sheet, *cause = priced
    return PricingInputs(product, signals, sheet, _last.decode(sheet), (cause[0], cause[1]))


_tiers = msgspec.json.Decoder(tuple[Tier, ...])
_last = msgspec.json.Decoder(CurrentPrice)

# In the order of the bytes, whatever the database's collation: the order in which products are written, too.
_LOCK = f"""
SELECT {", ".join(f"p.{name}" for name in FIELDS)}, p.tiers::text FROM products p WHERE {{}}
ORDER BY p.product_id COLLATE "C" FOR UPDATE
"""  # noqa: S608 # only names of columns

_PRICED = """
SELECT product_id, sheet, cause, cause_id FROM prices
WHERE product_id = ANY(%(ids)s::text[])
"""

_SIGNALS = """
SELECT product_id, kind, source, value, currency, in_stock FROM signals
WHERE product_id = ANY(%(ids)s::text[]) AND kind IN ('competitor', 'demand')
"""
