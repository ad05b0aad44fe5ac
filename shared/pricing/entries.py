"""Entries of price lists: the prices of single products, as they are written and as sheets hold them."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from msgspec import Meta, Struct

from shared.pricing import money
from shared.pricing.product import ProductId
from shared.pricing.ratio import ZERO
from shared.pricing.rulebook import Decimals, InWindow, PartId
from shared.pricing.tiers import ListTier, TierMode, check_tiers
from shared.pricing.windows import window

MOST_ENTRIES = 64  # of a product, without those of single customers

Instant = Annotated[datetime, Meta(tz=True)]


class PriceEntry(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A product's price in one list: an amount, or tiers; in force in its own window inside the list's."""

    list: str
    amount: Decimal | None = None
    tier_mode: TierMode = "volume"
    tiers: tuple[ListTier, ...] = ()
    price_decimals: int | None = None
    opens: Instant | None = None
    closes: Instant | None = None


class EntryInput(InWindow, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """An entry as it is written; with a `customer_id` it is the price of that customer alone.

    Raises:
        ValueError: a figure, a tier or the window is wrong; the text starts with the field in backticks.
    """

    product_id: ProductId
    customer_id: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    amount: Decimal | None = None
    tier_mode: TierMode = "volume"
    tiers: Annotated[tuple[ListTier, ...], Meta(max_length=20)] = ()
    price_decimals: Decimals | None = None

    def __post_init__(self) -> None:
        if (self.amount is None) == (not self.tiers):
            raise ValueError("`amount` must be given, or tiers; one of the two")
        if self.amount is not None:
            money.number("amount", self.amount, ZERO, money.MAX_AMOUNT)
        if self.tiers:
            check_tiers(self.tier_mode, self.tiers)
        window(self)

    def entry(self, list_id: PartId) -> PriceEntry:
        """The entry as sheets hold it, with its window as instants."""
        opens, closes = window(self)
        return PriceEntry(
            list=list_id,
            amount=self.amount,
            tier_mode=self.tier_mode,
            tiers=self.tiers,
            price_decimals=self.price_decimals,
            opens=opens,
            closes=closes,
        )
