"""Price sheets: all data about a product that a quote needs."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from msgspec import Meta, Struct

from shared.pricing.entries import PriceEntry
from shared.pricing.explanation import Rejection, Step
from shared.pricing.lowest_price import Low
from shared.pricing.money import Rounding
from shared.pricing.product import STANDARD_TAX, Content, Tier

Instant = Annotated[datetime, Meta(tz=True)]


class PriceSheet(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """All data that a quote for one product needs; the cache holds it as JSON, one key per product.

    A sheet depends on the product, its signals and the policy, never on the query: location, membership, quantity
    and currency are applied in `quote`. Amounts are in `currency`. `floor` and `ceiling` are in whole minor units;
    `published_price` is not rounded. `ceiling` is the product's `max_price`; the policy's ceiling bounds the published
    price alone. `cost` is net. `entries` are those without a customer, at most `MOST_ENTRIES`. `lows` are those of the
    public reductions in force. `membership_rate` and `rounding` are for processes of the former version: quotes take
    the rulebook's.
    """

    product_id: str
    version: int
    policy_version: int
    currency: str
    list_price: Decimal
    published_price: Decimal
    floor: Decimal
    ceiling: Decimal | None
    tiers: tuple[Tier, ...] = ()
    membership_rate: Decimal
    rounding: Rounding
    computed_at: Instant
    valid_until: Instant | None = None
    steps: tuple[Step, ...] = ()
    rejected: tuple[Rejection, ...] = ()
    brand: str | None = None
    tags: tuple[str, ...] = ()
    cost: Decimal | None = None
    content: Content | None = None
    tax_class: str = STANDARD_TAX
    quantity_step: Decimal | None = None
    price_decimals: int | None = None
    map_price: Decimal | None = None
    entries: tuple[PriceEntry, ...] = ()
    lows: tuple[Low, ...] = ()
    category: str = "general"  # the last field: the importer's fast way appends it
