"""The inputs of decisions, read in bulk: products with their signals and current sheets."""

import contextlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from psycopg.rows import tuple_row

from shared.catalogue.failures import ProductFailure
from shared.catalogue.product_set import ProductFilter
from shared.catalogue.products import FIELDS, JSON_FIELDS
from shared.postgres import arrays
from shared.postgres.pools import Conn
from shared.prices import states
from shared.prices.states import StoredState
from shared.pricing.entries import PriceEntry
from shared.pricing.lowest_price import Low
from shared.pricing.product import Content, ProductInput, Tier
from shared.pricing.signal import Signal
from shared.telemetry.metrics import LOCK_WAIT


class StoredProduct(ProductInput, frozen=True, gc=False, kw_only=True):
    """A product of the catalogue, which was checked when it was written."""

    def __post_init__(self) -> None:
        """Skip the check."""


class StoredSignal(Signal, frozen=True, gc=False, kw_only=True):
    """A signal of its register, which was checked when it was applied."""

    def __post_init__(self) -> None:
        """Skip the check."""


class CurrentPrice(msgspec.Struct, frozen=True, gc=False):
    """The fields of the current sheet that a decision needs."""

    version: int
    policy_version: int
    currency: str
    published_price: Decimal
    computed_at: datetime
    entries: tuple[PriceEntry, ...] = ()
    lows: tuple[Low, ...] = ()


class PricingInputs(msgspec.Struct, frozen=True, gc=False):
    """The inputs of the decision about one product.

    Attributes:
        version: The version of the current sheet, or else of the product's last deletion; 0: there was neither.
        sheet: The JSON of that sheet; None: there is none, or it cannot be read.
        last: The decoded fields of that sheet; None likewise.
        cause: The kind and the id of that sheet's cause; None likewise.
        is_priced: Whether there is a current sheet, readable or not.
        state: The state of the current price.
        next_due: The next instant at which an input of the decision changes by itself, as the last decision found it.
    """

    product: ProductInput
    signals: Sequence[Signal]
    version: int
    sheet: str | None
    last: CurrentPrice | None
    cause: tuple[str, str] | None
    is_priced: bool = False
    state: StoredState = states.NOTHING
    next_due: datetime | None = None


def lock_and_read(
    conn: Conn, chosen: ProductFilter, *, repairs: bool = False, locks: bool = True
) -> tuple[list[PricingInputs], list[ProductFailure]]:
    """Lock products in the order of their ids, so that two such calls never deadlock, and read their states.

    The lock is a separate statement: READ COMMITTED takes a statement's snapshot before it waits for locks.

    Args:
        conn: In a transaction.
        chosen: The products.
        repairs: Whether a product whose current sheet cannot be read counts as one without a last price.
        locks: False: nothing is locked; the order is the same.

    Returns:
        The inputs of the products, and the products that cannot be read.
    """
    if locks:
        with LOCK_WAIT.labels("decision").time():
            rows = _rows(conn, _LOCK.format(chosen.condition), chosen.values)
    else:
        rows = _rows(conn, _READ.format(chosen.condition), chosen.values)
    ids = arrays.texts(row[_ID] for row in rows)
    priced = {row[0]: row for row in _rows(conn, _PRICED, {"ids": ids})}
    signals = _signals(conn, ids)
    deleted = dict(_rows(conn, _DELETED, {"ids": ids})) if len(priced) < len(rows) else {}
    found: list[PricingInputs] = []
    failed: list[ProductFailure] = []
    for row in rows:
        product_id = row[_ID]
        current = priced.get(product_id)
        try:
            product, deleted_version = _product(row), deleted.get(product_id, 0)
            found.append(_state(product, signals.get(product_id, ()), current, deleted_version, repairs=repairs))
        except _UNREADABLE as error:
            failed.append(ProductFailure.of(product_id, error))
    return found, failed


def missing(conn: Conn, products: Sequence[ProductInput], chosen: ProductFilter) -> list[PricingInputs]:
    """The inputs of new products whose ids are in the range of a filter; those that exist are left out."""
    by_id = {product.product_id: product for product in products}
    if not by_id or "first" not in chosen.values:
        return []
    values = {"ids": arrays.texts(by_id), "first": chosen.values["first"], "before": chosen.values.get("before")}
    rows = _rows(conn, _MISSING, values)
    return [PricingInputs(by_id[product_id], (), version, None, None, None) for product_id, version in rows]


def products_before(conn: Conn, product_ids: Sequence[str], source: str = "products") -> dict[str, ProductInput]:
    """The products before a write, by id; one that cannot be read is left out.

    Args:
        conn: In the transaction of the write.
        product_ids: The products to be written.
        source: `products`, whose rows are locked until the transaction ends; or a table with rows of it.
    """
    query = _LOCK if source == "products" else _BEFORE.format(source, "{}")
    query = query.format("p.product_id = ANY(%(ids)s::text[])")
    found: dict[str, ProductInput] = {}
    for row in _rows(conn, query, {"ids": arrays.texts(product_ids)}):
        with contextlib.suppress(*_UNREADABLE):
            found[row[_ID]] = _product(row)
    return found


def are_converted(conn: Conn) -> bool:
    """Whether rates of exchange move published prices: there are offers in another currency than their product's."""
    return bool(conn.execute(_FOREIGN).rowcount)


def ids(conn: Conn, chosen: ProductFilter) -> list[str]:
    """The ids of the chosen products, without a lock."""
    query = f"SELECT p.product_id FROM products p WHERE {chosen.condition}"  # noqa: S608 # our own condition
    return [row[0] for row in _rows(conn, query, chosen.values)]


def _rows(conn: Conn, query: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    with conn.cursor(row_factory=tuple_row) as cursor:
        return cursor.execute(query.encode(), values).fetchall()


def _product(row: tuple[Any, ...]) -> ProductInput:
    # A dictionary of the fields would take five times as long.
    (
        product_id,
        name,
        category,
        currency,
        base_price,
        cost,
        stock,
        min_price,
        max_price,
        strategy,
        brand,
        tax_class,
        quantity_step,
        price_decimals,
        map_price,
        rrp,
        tiers,
        tags,
        content,
    ) = row
    return StoredProduct(
        product_id=product_id,
        name=name,
        category=category,
        currency=currency,
        base_price=base_price,
        cost=cost,
        stock=stock,
        min_price=min_price,
        max_price=max_price,
        strategy=strategy,
        brand=brand,
        tax_class=tax_class,
        quantity_step=quantity_step,
        price_decimals=price_decimals,
        map_price=map_price,
        rrp=rrp,
        tiers=() if tiers == "[]" else _tiers.decode(tiers),
        tags=() if tags == "[]" else _tags.decode(tags),
        content=None if content is None else _content.decode(content),
    )


def _signals(conn: Conn, ids: str) -> Mapping[str, list[Signal]]:
    found: dict[str, list[Signal]] = defaultdict(list)
    for product_id, kind, source, value, currency, in_stock, shipping, at, expires_at in _rows(
        conn, _SIGNALS, {"ids": ids}
    ):
        found[product_id].append(
            StoredSignal(
                kind=kind,
                source=source,
                value=value,
                currency=currency,
                in_stock=in_stock,
                shipping=shipping,
                at=at,
                expires_at=expires_at,
            )
        )
    return found


def _state(
    product: ProductInput,
    signals: Sequence[Signal],
    priced: tuple[Any, ...] | None,
    deleted_version: int,
    *,
    repairs: bool,
) -> PricingInputs:
    if priced is None:
        return PricingInputs(product, signals, deleted_version, None, None, None)
    _, version, sheet, cause, cause_id, document, next_due = priced
    try:
        last = _last.decode(sheet)
        state = states.state_of(document, last.published_price, last.computed_at)
    except _UNREADABLE:
        if not repairs:
            raise
        return PricingInputs(product, signals, version, None, None, None, is_priced=True)
    if last.currency != product.currency:
        state = states.NOTHING
    return PricingInputs(
        product, signals, version, sheet, last, (cause, cause_id), is_priced=True, state=state, next_due=next_due
    )


# The errors of a document that does not have the expected form.
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
_ID = FIELDS.index("product_id")

_tiers = msgspec.json.Decoder(tuple[Tier, ...])
_tags = msgspec.json.Decoder(tuple[str, ...])
_content = msgspec.json.Decoder(Content)
_last = msgspec.json.Decoder(CurrentPrice)

# In byte order, whatever the database's collation: products are written in the same order.
_BEFORE = f"""
SELECT {", ".join(f"p.{name}" for name in FIELDS)}, {", ".join(f"p.{name}::text" for name in JSON_FIELDS)}
FROM {{}} p WHERE {{}}
"""  # noqa: S608 # only names of columns
_READ = _BEFORE.format("products", "{}") + ' ORDER BY p.product_id COLLATE "C"'
_LOCK = f"{_READ} FOR UPDATE"

_PRICED = """
SELECT product_id, version, sheet, cause, cause_id, state, next_due FROM prices
WHERE product_id = ANY(%(ids)s::text[])
"""

_DELETED = "SELECT product_id, version FROM deleted_prices WHERE product_id = ANY(%(ids)s::text[])"

_MISSING = """
SELECT w.product_id, coalesce(d.version, 0) FROM unnest(%(ids)s::text[]) AS w (product_id)
LEFT JOIN deleted_prices d USING (product_id)
WHERE w.product_id >= %(first)s AND (%(before)s::text IS NULL OR w.product_id < %(before)s)
    AND NOT EXISTS (SELECT FROM products p WHERE p.product_id = w.product_id)
ORDER BY w.product_id COLLATE "C"
"""

_SIGNALS = """
SELECT product_id, kind, source, value, currency, in_stock, shipping, occurred_at, expires_at FROM signals
WHERE product_id = ANY(%(ids)s::text[]) AND kind IN ('competitor', 'demand')
"""

_FOREIGN = """
SELECT FROM (SELECT (document->'policy'->>'convert')::boolean AS convert FROM rulebooks ORDER BY version DESC LIMIT 1) r
WHERE convert AND EXISTS (SELECT FROM signals s JOIN products p USING (product_id)
    WHERE s.kind = 'competitor' AND s.currency <> p.currency)
"""
