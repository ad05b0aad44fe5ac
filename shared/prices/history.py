"""Past sheets. A row of the history has the sheet that its change replaced; the newest sheet is the current one.

So a month can go without a row to be carried over, and the first sheet of a product is stored once.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shared.errors import NoHistory, NotFound, UnusableProduct
from shared.postgres.pools import Conn
from shared.prices.packing import unpacked
from shared.pricing.currencies import CurrencyCode
from shared.pricing.sheet import PriceSheet
from shared.wire.fields import ComputedAt, PolicyVersion, TraceId, Version

Position = tuple[datetime, int]


class PriceChange(msgspec.Struct, frozen=True):
    """One row of the price history. Prices are published ones: before market, quantity and membership."""

    version: Version
    old_price: Annotated[
        Decimal | None, Meta(description="The price before; null: this is the first.", examples=["49.90"])
    ]
    new_price: Annotated[
        Decimal | None, Meta(description="The price after; null: the product was deleted.", examples=["47.50"])
    ]
    currency: CurrencyCode
    cause: Annotated[
        str,
        Meta(
            description="event, task, clock, write, import, approval, manual_price, plan, demo or deletion.",
            examples=["event"],
        ),
    ]
    cause_id: Annotated[str, Meta(description="The id of the cause.", examples=["e-1"])]
    policy_version: PolicyVersion
    rulebook_version: Annotated[
        int, Meta(description="Version of the rulebook that the decision read; the policy is part of it.", examples=[1])
    ]
    trace_id: TraceId
    at: ComputedAt


def price_changes(
    conn: Conn,
    product_id: str,
    limit: int,
    after: Position | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    before_version: int | None = None,
) -> list[PriceChange]:
    """A product's past prices, newest first: those in [since, until) that follow the position `after`.

    Raises:
        NotFound: there is no such product, and never was.
    """
    at, version = after or (None, None)
    values = {"product_id": product_id, "at": at, "version": version, "limit": limit}
    values |= {"since": since, "until": until, "before_version": before_version}
    rows = conn.execute(_CHANGES, values).fetchall()
    if not rows and conn.execute(_KNOWN, {"product_id": product_id}).fetchone() is None:
        raise NotFound(f"no product {product_id!r}")
    return [PriceChange(**row) for row in rows]


def currency_of(conn: Conn, product_id: str) -> str | None:
    """The currency of a product's latest price; None: it never had a price."""
    row = conn.execute(_CURRENCY, {"product_id": product_id}).fetchone()
    return None if row is None else str(row["currency"])


def sheet_as_of(conn: Conn, product_id: str, at: datetime) -> PriceSheet:
    """The sheet that was in force at an instant; the product may have been deleted since.

    Raises:
        NotFound: there was no such product.
        NoHistory: the sheet was not kept: it is of a release before.
        UnusableProduct: it cannot be read.
    """
    row = conn.execute(_AS_OF, {"product_id": product_id, "at": at}).fetchone()
    if row is None:
        raise NotFound(f"no product {product_id!r} at {at.isoformat()}")
    return sheet_in(row, product_id, at)


def sheet_in(row: Mapping[str, Any], product_id: str, at: datetime) -> PriceSheet:
    """The sheet in a row of `ALL_AS_OF`, in force at an instant.

    Raises:
        NotFound, NoHistory, UnusableProduct: as `sheet_as_of`.
    """
    if row["sheet"] is None and row["old_price"] is None:
        raise NotFound(f"no product {product_id!r} at {at.isoformat()}")
    if row["sheet"] is None:
        raise NoHistory("the price sheet of this instant was not kept", "$.at")
    try:
        return _sheet.decode(unpacked(row["sheet"]))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise UnusableProduct(f"the stored data of product {product_id!r} cannot be used") from None


_sheet = msgspec.json.Decoder(PriceSheet)

# One statement: a change between two would be missed.
_AS_OF = """
(SELECT 1 AS place, old_price, old_sheet AS sheet FROM price_history
WHERE product_id = %(product_id)s AND recorded_at > %(at)s ORDER BY recorded_at, version LIMIT 1)
UNION ALL
SELECT 2, NULL, convert_to(sheet, 'UTF8') FROM prices WHERE product_id = %(product_id)s
ORDER BY place LIMIT 1
"""

# The same of every product, in the order of their ids.
ALL_AS_OF = """
(SELECT DISTINCT ON (product_id) product_id, old_price, old_sheet AS sheet FROM price_history
WHERE recorded_at > %(at)s ORDER BY product_id, recorded_at, version)
UNION ALL
SELECT product_id, NULL, convert_to(sheet, 'UTF8') FROM prices p
WHERE NOT EXISTS (SELECT FROM price_history h WHERE h.product_id = p.product_id AND h.recorded_at > %(at)s)
ORDER BY product_id
"""

_CHANGES = """
SELECT version, old_price, new_price, currency, cause, cause_id, policy_version, policy_version AS rulebook_version,
    trace_id, recorded_at AS at
FROM price_history
WHERE product_id = %(product_id)s
    AND (%(at)s::timestamptz IS NULL OR (recorded_at, version) < (%(at)s, %(version)s::bigint))
    AND (%(since)s::timestamptz IS NULL OR recorded_at >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR recorded_at < %(until)s)
    AND (%(before_version)s::bigint IS NULL OR version < %(before_version)s)
ORDER BY recorded_at DESC, version DESC LIMIT %(limit)s
"""

_CURRENCY = """
SELECT currency FROM price_history WHERE product_id = %(product_id)s ORDER BY recorded_at DESC, version DESC LIMIT 1
"""

_KNOWN = """
SELECT FROM products WHERE product_id = %(product_id)s
UNION ALL SELECT FROM price_history WHERE product_id = %(product_id)s LIMIT 1
"""
