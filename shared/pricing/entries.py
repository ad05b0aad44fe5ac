"""Entries of price lists: the prices of single products, as they are written and as sheets hold them."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from msgspec import Meta, Struct

from shared.pricing import money
from shared.pricing.product import ProductId
from shared.pricing.ratio import ZERO
from shared.pricing.rulebook import Decimals, PartId
from shared.pricing.text import clean_id, clean_text
from shared.pricing.tiers import ListTier, TierMode, check_tiers
from shared.pricing.windows import window

MOST_ENTRIES = 64  # of a product, without those of single customers

Instant = Annotated[datetime, Meta(tz=True)]


class PriceEntry(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A product's price in one list: an amount, or tiers; in force in its own window inside the list's.

    It counts only where `revision` is the list's.
    """

    list: str
    revision: int = 0
    amount: Decimal | None = None
    tier_mode: TierMode = "volume"
    tiers: tuple[ListTier, ...] = ()
    price_decimals: int | None = None
    opens: Instant | None = None
    closes: Instant | None = None


class EntryInput(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, rename={"from_": "from"}
):
    """An entry as it is written; with a `customer_id` it is the price of that customer alone.

    Raises:
        ValueError: a figure, a tier or the window is wrong; the text starts with the field in backticks.
    """

    product_id: ProductId
    customer_id: Annotated[
        Annotated[str, Meta(min_length=1, max_length=64)] | None,
        Meta(description="The only customer to whom the entry applies; null: everyone.", examples=["c-17"]),
    ] = None
    amount: Annotated[
        Decimal | None,
        Meta(description="The price of one unit, with at most 6 decimals; null: there are tiers.", examples=["39.90"]),
    ] = None
    tier_mode: Annotated[TierMode, Meta(description="How tiers make a line's price.", examples=["volume"])] = "volume"
    tiers: Annotated[
        tuple[ListTier, ...],
        Meta(
            max_length=20,
            description="Tiers in ascending order, instead of `amount`.",
            examples=[[{"up_to": "9", "unit_price": "39.90"}, {"unit_price": "35.90"}]],
        ),
    ] = ()
    price_decimals: Annotated[
        Decimals | None,
        Meta(description="Decimals of the unit price; null: the list's or the product's.", examples=[4]),
    ] = None
    from_: Annotated[
        str | None,
        Meta(description="The beginning, inclusive; null: that of the list.", examples=["2026-11-27T00:00:00"]),
    ] = None
    until: Annotated[
        str | None, Meta(description="The end, exclusive; null: that of the list.", examples=["2026-12-01T00:00:00"])
    ] = None
    zone: Annotated[
        str, Meta(description="The IANA time zone of times without an offset.", examples=["Europe/Berlin"])
    ] = "UTC"

    def __post_init__(self) -> None:
        clean_id("product_id", self.product_id)
        clean_text("customer_id", self.customer_id)
        if (self.amount is None) == (not self.tiers):
            raise ValueError("`amount` must be given, or tiers; one of the two")
        if self.amount is not None:
            money.number("amount", self.amount, ZERO, money.MAX_AMOUNT)
        if self.tiers:
            check_tiers(self.tier_mode, self.tiers)
        if self.from_ is not None or self.until is not None or self.zone != "UTC":
            window(self)

    def entry(self, list_id: PartId, revision: int = 0) -> PriceEntry:
        """The entry as sheets hold it, with its window as instants."""
        opens, closes = window(self)
        return PriceEntry(
            list=list_id,
            revision=revision,
            amount=self.amount,
            tier_mode=self.tier_mode,
            tiers=self.tiers,
            price_decimals=self.price_decimals,
            opens=opens,
            closes=closes,
        )


class EntryWrite(EntryInput, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """An entry to be written, or, with `delete`, the product (and customer) whose entries are deleted from the list."""

    delete: Annotated[
        bool, Meta(description="Delete the entries of the product (and customer) instead.", examples=[False])
    ] = False

    def __post_init__(self) -> None:
        if not self.delete:
            super().__post_init__()
        elif self.amount is not None or self.tiers:
            raise ValueError("`delete` must not stand beside amount or tiers; leave one of them out")
