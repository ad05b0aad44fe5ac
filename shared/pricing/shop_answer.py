"""The answer of a quote by a rulebook, and the reasons for which there is none."""

from datetime import datetime
from decimal import Decimal
from itertools import takewhile
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from shared.pricing.beside import UnitPrice
from shared.pricing.explanation import Step
from shared.pricing.price_lists import Missing
from shared.pricing.quote import NoPrice
from shared.pricing.sheet import PriceSheet
from shared.pricing.shop_explanation import Rejected
from shared.pricing.tax import Tax


class ShopQuote(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One price for one query; a field that does not apply is left out. Amounts are in `currency`, as shown."""

    product_id: str
    currency: str
    quantity: int | Decimal
    base_price: Annotated[Decimal | None, Meta(description="List price of one unit.")] = None
    reference_price: Annotated[Decimal, Meta(description="Price of one unit without sale, promotions, membership.")]
    final_price: Annotated[Decimal, Meta(description="Price of one unit, rounded once.")]
    total: Annotated[Decimal, Meta(description="Price of the quantity.")]
    discount_rate: Annotated[Decimal, Meta(description="The share taken off for membership, 0 to 1.")]
    market: str
    market_known: bool | None = None
    price_list: str | None = None
    promotions: tuple[str, ...] = ()
    tax: Tax | None = None
    unit_price: UnitPrice | None = None
    advertised_price: Decimal | None = None
    cash_total: Decimal | None = None
    version: int
    rulebook_version: int
    computed_at: datetime
    valid_until: datetime | None
    steps: tuple[Step, ...] | None = None
    rejected: tuple[Rejected, ...] | None = None


class NoPriceHere(NoPrice):
    """No list and no rate give a price in the query's currency; `code` is `other_currency` or `no_rate`."""

    def __init__(self, product_id: str, currency: str, code: Missing) -> None:
        super().__init__(product_id, currency)
        self.code = code


class UnknownMarket(Exception):
    """There is no such market, and the policy refuses unknown ones."""

    def __init__(self, location: str) -> None:
        super().__init__(f"there is no market {location[:64]}")
        self.location = location


def public(priced: ShopQuote, sheet: PriceSheet) -> tuple[ShopQuote, int]:
    """A quote whose explanation shows neither cost, floor nor competitors, and the number of omitted parts.

    The background decision is omitted, and everything from the floor on: a floor is followed by its rounding only.
    """
    steps = (priced.steps or ())[len(sheet.steps) :]
    rejected = (priced.rejected or ())[len(sheet.rejected) :]
    shown_steps = tuple(takewhile(lambda step: step.rule != "floor", steps))
    shown_rejected = tuple(line for line in rejected if line.rule != "floor")
    hidden = len(priced.steps or ()) - len(shown_steps) + len(priced.rejected or ()) - len(shown_rejected)
    return replace(priced, steps=shown_steps, rejected=shown_rejected), hidden
