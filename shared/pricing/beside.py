"""What is shown beside a price: the price per kg or l, and the total that can be paid in coins."""

from decimal import Decimal
from typing import Annotated

from msgspec import Meta, Struct

from shared.pricing.money import Rounding
from shared.pricing.product import Content
from shared.pricing.ratio import ONE, Ratio, multiply, rounded, whole
from shared.pricing.rulebook import Measure

# Content unit → the measure of its unit price, and how many of the unit make one.
_PER: dict[str, tuple[Measure, Decimal]] = {
    "kg": ("kg", ONE),
    "g": ("kg", Decimal(1000)),
    "l": ("l", ONE),
    "ml": ("l", Decimal(1000)),
    "cl": ("l", Decimal(100)),
    "m": ("m", ONE),
    "cm": ("m", Decimal(100)),
    "m2": ("m2", ONE),
    "piece": ("piece", ONE),
}


class UnitPrice(Struct, frozen=True, gc=False, kw_only=True):
    """The price of one kg, l, m, m² or piece of the product's content."""

    amount: Annotated[Decimal, Meta(description="Price of one measure, rounded once.", examples=["19.96"])]
    per: Annotated[Measure, Meta(description="The measure.", examples=["kg"])]


def unit_price(
    price: Decimal, content: Content, measures: tuple[Measure, ...], places: int, mode: Rounding
) -> UnitPrice | None:
    """The price by the exact content, rounded last; None where the market does not show that measure."""
    per, units = _PER[content.unit]
    if per not in measures:
        return None
    return UnitPrice(amount=rounded(Ratio(multiply(price, units), content.amount), places, mode), per=per)


def cash_total(total: Decimal, step: Decimal, places: int) -> Decimal:
    """The multiple of the smallest coin nearest to the total; the larger one of two that are equally near."""
    return rounded(Ratio(multiply(whole(total, step, "HALF_UP"), step)), places, "HALF_UP")
