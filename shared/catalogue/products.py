"""Products: their catalogue facts."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shared.errors import NotFound
from shared.postgres.pools import Conn
from shared.pricing.product import ProductInput
from shared.telemetry.metrics import LOCK_WAIT
from shared.wire.fields import AT, ComputedAt, PolicyVersion, Version

JSON_FIELDS = ("tiers", "tags", "content")
FIELDS = tuple(name for name in ProductInput.__struct_fields__ if name not in JSON_FIELDS)
COLUMNS = (*FIELDS, *JSON_FIELDS)


class SignalView(msgspec.Struct, frozen=True):
    """The latest signal of one kind and source about a product."""

    kind: Annotated[str, Meta(description="competitor, demand, stock or cost.", examples=["competitor"])]
    source: Annotated[str, Meta(description="The competitor, or the sender of the measurement.", examples=["acme"])]
    value: Annotated[Decimal, Meta(description="A price, an index or a number of pieces.", examples=["47.50"])]
    currency: Annotated[str | None, Meta(description="The currency of a price.", examples=["USD"])]
    in_stock: Annotated[bool, Meta(description="Whether the competitor can deliver.", examples=[True])]
    time: Annotated[datetime, Meta(description="The time of the change.", examples=[AT])]


class ManualPriceView(msgspec.Struct, frozen=True):
    """A price that a person set, in place of the rules' one."""

    price: Annotated[Decimal, Meta(description="The price that was set.", examples=["39.90"])]
    reason: Annotated[str, Meta(description="The reason.", examples=["a clearance"])]
    until: Annotated[datetime | None, Meta(description="Its end; null: until it is ended.", examples=[AT])]
    below_floor: Annotated[bool, Meta(description="Whether it may be below the floor.", examples=[False])]


class ProductView(msgspec.Struct, frozen=True):
    """A product with its published price and the signals that a decision would read now."""

    product: Annotated[ProductInput, Meta(description="The product as written, with later stock and cost.")]
    published_price: Annotated[
        Decimal, Meta(description="Before market, quantity and membership; not rounded.", examples=["47.50"])
    ]
    version: Version
    policy_version: PolicyVersion
    computed_at: ComputedAt
    signals: Annotated[tuple[SignalView, ...], Meta(description="The latest signals.")]
    manual_price: Annotated[ManualPriceView | None, Meta(description="The manual price in force; null: none.")]


def upsert(conn: Conn, products: Sequence[ProductInput]) -> list[str]:
    """Insert or update products, in the caller's transaction; returns the ids of new and changed ones.

    All of them are as of now: events from before cannot change their stock and cost any more.
    """
    ordered = sorted(products, key=lambda product: product.product_id)
    columns = [[getattr(product, name) for product in ordered] for name in FIELDS]
    columns += [[_json(getattr(product, name)) for product in ordered] for name in JSON_FIELDS]
    written = [row["product_id"] for row in conn.execute(_UPSERT, columns)]
    if len(written) < len(ordered):
        ids = [product.product_id for product in ordered]
        conn.execute(_RENEW, {"ids": ids, "written": written})
    return written


def lock(conn: Conn, product_ids: Sequence[str]) -> dict[str, str]:
    """Lock products until the transaction ends, in the order of their ids; returns the currency of each."""
    with LOCK_WAIT.labels("events").time():
        return {row["product_id"]: row["currency"] for row in conn.execute(_LOCK, [list(product_ids)])}


def currencies(conn: Conn, product_ids: Sequence[str]) -> dict[str, str]:
    """The currency of each product that exists."""
    rows = conn.execute("SELECT product_id, currency FROM products WHERE product_id = ANY(%s)", [list(product_ids)])
    return {row["product_id"]: row["currency"] for row in rows}


def money_of(conn: Conn, product_id: str) -> tuple[str, int | None] | None:
    """The currency of a product, and the decimals of its unit price where they are its own; None: no such product."""
    query = "SELECT currency, price_decimals FROM products WHERE product_id = %s"
    row = conn.execute(query, [product_id]).fetchone()
    return None if row is None else (row["currency"], row["price_decimals"])


def written_since(conn: Conn, product_ids: Iterable[str], at: datetime) -> list[str]:
    """Those of the products whose facts changed after an instant."""
    query = "SELECT product_id FROM products WHERE product_id = ANY(%s) AND updated_at > %s ORDER BY product_id"
    return [row["product_id"] for row in conn.execute(query, [list(product_ids), at])]


def view(conn: Conn, product_id: str) -> ProductView:
    """A product with its price and signals, by one statement.

    Raises:
        NotFound: no such product.
    """
    row = conn.execute(_VIEW, [product_id]).fetchone()
    if row is None:
        raise NotFound(f"no product {product_id!r}")
    return ProductView(
        product=product_of(row),
        published_price=row["published_price"],
        version=row["version"],
        policy_version=row["policy_version"],
        computed_at=row["computed_at"],
        signals=msgspec.convert(row["signals"], tuple[SignalView, ...]),
        manual_price=msgspec.convert(row["manual"], ManualPriceView | None),
    )


def product_of(row: Mapping[str, Any]) -> ProductInput:
    """The product in a row of the table `products`."""
    return msgspec.convert({name: row[name] for name in COLUMNS}, ProductInput)


def _json(value: object) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


_SETS = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS if name != "product_id")
_OLD = ", ".join(f"p.{name}" for name in COLUMNS)
_NEW = ", ".join(f"excluded.{name}" for name in COLUMNS)
_TYPES = dict.fromkeys(("base_price", "cost", "min_price", "max_price", "quantity_step", "map_price", "rrp"), "numeric")
_TYPES |= {"stock": "integer", "price_decimals": "bigint"} | dict.fromkeys(JSON_FIELDS, "jsonb")

# Columns are named, never `*`: a column that a migration adds would break every prepared statement.

_UPSERT = f"""
INSERT INTO products AS p ({", ".join(COLUMNS)})
SELECT * FROM unnest({", ".join(f"%s::{_TYPES.get(name, 'text')}[]" for name in COLUMNS)})
ON CONFLICT (product_id) DO UPDATE SET {_SETS}, updated_at = clock_timestamp()
WHERE ({_OLD}) IS DISTINCT FROM ({_NEW})
RETURNING product_id
"""  # noqa: S608 # only names of columns

# Products that were written with the facts that they had; the statement before has locked their rows.
_RENEW = """
UPDATE products SET updated_at = clock_timestamp()
WHERE product_id = ANY(%(ids)s::text[]) AND product_id <> ALL(%(written)s::text[])
"""

# In byte order: every writer of several products locks them in this order.
_LOCK = """
SELECT product_id, currency FROM products WHERE product_id = ANY(%s) ORDER BY product_id COLLATE "C" FOR UPDATE
"""

_VIEW = f"""
SELECT {_OLD}, r.published_price, r.version, r.policy_version, r.computed_at, coalesce((
    SELECT jsonb_agg(jsonb_build_object('kind', s.kind, 'source', s.source, 'value', s.value::text,
        'currency', s.currency, 'in_stock', s.in_stock, 'time', s.occurred_at) ORDER BY s.kind, s.source)
    FROM signals s WHERE s.product_id = p.product_id), '[]') AS signals, m.manual
FROM products p JOIN prices r USING (product_id)
LEFT JOIN LATERAL (SELECT r.state::jsonb->'manual' AS manual) m
    ON coalesce((m.manual->>'until')::timestamptz, 'infinity') > clock_timestamp()
WHERE p.product_id = %s
"""  # noqa: S608 # only names of columns
