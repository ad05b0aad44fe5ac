"""The answer to a query, and the reasons for which there is none."""

from datetime import datetime
from decimal import Decimal
from itertools import takewhile
from typing import Annotated, ClassVar

from msgspec import Meta, Struct
from msgspec.structs import replace

from shared.pricing.beside import UnitPrice
from shared.pricing.currencies import CurrencyCode
from shared.pricing.explanation import Rejection, Step
from shared.pricing.lowest_price import ShownLow
from shared.pricing.money import plain
from shared.pricing.price_lists import Missing
from shared.pricing.product import ProductId
from shared.pricing.sheet import PriceSheet
from shared.pricing.tax import Tax


class Quote(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One price for one query; a field that does not apply is left out. Amounts are in `currency`, as shown."""

    product_id: ProductId
    currency: CurrencyCode
    quantity: Annotated[int | float, Meta(description="The query's quantity.", examples=[12])]
    base_price: Annotated[
        Decimal | None,
        Meta(description="List price of one unit; left out where it has no rate to the currency.", examples=["49.90"]),
    ] = None
    reference_price: Annotated[
        Decimal,
        Meta(description="Price of one unit before sale lists, promotions and membership.", examples=["47.41"]),
    ]
    final_price: Annotated[Decimal, Meta(description="Price of one unit, rounded once.", examples=["45.04"])]
    total: Annotated[Decimal, Meta(description="Price of the quantity.", examples=["540.48"])]
    discount_rate: Annotated[
        Decimal, Meta(description="The share taken off for membership, 0 to 1.", examples=["0.05", "0"])
    ]
    market: Annotated[str, Meta(description="Code of the market applied.", examples=["NY", "DEFAULT"])]
    market_known: Annotated[
        bool | None, Meta(description="false: the query's location is no market; the default one applies.")
    ] = None
    price_list: Annotated[
        str | None, Meta(description="The price list that gave the price.", examples=["wholesale"])
    ] = None
    promotions: Annotated[
        tuple[str, ...], Meta(description="The promotions applied, in order.", examples=[["black-friday"]])
    ] = ()
    tax: Annotated[Tax | None, Meta(description="The tax of the total; only where the market has rates.")] = None
    unit_price: Annotated[UnitPrice | None, Meta(description="The price per kg, l, m, m² or piece.")] = None
    lowest_price: Annotated[
        ShownLow | None,
        Meta(description="The lowest price before the public reduction that is shown; left out until it is found."),
    ] = None
    advertised_price: Annotated[
        Decimal | None,
        Meta(
            description="The lowest price that may be advertised, where it is above the final price.", examples=["50"]
        ),
    ] = None
    cash_total: Annotated[
        Decimal | None, Meta(description="The total in the market's smallest coins.", examples=["540.50"])
    ] = None
    version: Annotated[int, Meta(description="Version of the price sheet; only grows.", examples=[7])]
    rulebook_version: Annotated[int, Meta(description="Version of the rulebook.", examples=[3])]
    computed_at: Annotated[
        datetime,
        Meta(tz=True, description="When the published price was decided.", examples=["2026-03-01T12:00:00Z"]),
    ]
    valid_until: Annotated[
        Annotated[datetime, Meta(tz=True)] | None,
        Meta(
            description="The next instant at which a window or market value may change the answer; null: none known.",
            examples=[None],
        ),
    ]
    steps: Annotated[tuple[Step, ...] | None, Meta(description="The applied rules, in order; only with `explain`.")] = (
        None
    )
    rejected: Annotated[
        tuple[Rejection, ...] | None,
        Meta(description="The rules and signals that were considered and not used; only with `explain`."),
    ] = None


class NotQuoted(Exception):
    """A query that has no price; `path` is its field that is to blame."""

    path: ClassVar[str]


class NoPrice(NotQuoted):
    """No list and no rate give a price in the query's currency; `code` is `other_currency`, `no_rate` or `no_price`."""

    path = "$.currency"

    def __init__(self, product_id: str, currency: str, code: Missing) -> None:
        super().__init__(f"{product_id} has no price in {currency}{_REASONS[code]}")
        self.product_id = product_id
        self.currency = currency
        self.code = code


class UnknownMarket(NotQuoted):
    """There is no such market, and the policy refuses unknown ones."""

    path = "$.user_location"

    def __init__(self, location: str) -> None:
        super().__init__(f"there is no market {location[:64]!r}; the policy refuses unknown ones")
        self.location = location


class WrongQuantity(NotQuoted):
    """The product is not sold in this quantity."""

    path = "$.quantity"

    def __init__(self, step: Decimal | None) -> None:
        sold = "in whole units" if step is None else f"in multiples of {plain(step)}"
        super().__init__(f"the product is sold {sold}")


def public(priced: Quote, sheet: PriceSheet) -> tuple[Quote, int]:
    """A quote whose explanation shows neither cost, floor nor competitors, and the number of omitted parts.

    The background decision is omitted, and everything from the floor on: a floor is followed by its rounding only.
    """
    steps = (priced.steps or ())[len(sheet.steps) :]
    rejected = (priced.rejected or ())[len(sheet.rejected) :]
    shown_steps = tuple(takewhile(lambda step: step.rule != "floor", steps))
    shown_rejected = tuple(line for line in rejected if line.rule != "floor")
    hidden = len(priced.steps or ()) - len(shown_steps) + len(priced.rejected or ()) - len(shown_rejected)
    return replace(priced, steps=shown_steps, rejected=shown_rejected), hidden


_REASONS: dict[Missing, str] = {
    "other_currency": ": no price list has that currency, and the policy does not convert",
    "no_rate": ": there is no exchange rate",
    "no_price": "",
}
