"""Endings: prices that end in .99, or are multiples of a step."""

from decimal import Decimal
from typing import Literal

from msgspec import Struct

from shared.pricing import money
from shared.pricing.ratio import ONE, ZERO, Mode, Ratio, add, multiply, subtract, whole

SMALLEST_STEP, LARGEST_STEP = Decimal("0.000001"), Decimal(1_000_000)


class Ending(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Prices are a multiple of `multiple_of` plus `plus`: 1 and -0.01 give 18.99, 19.99, …"""

    multiple_of: Decimal
    plus: Decimal = Decimal(0)
    to: Literal["nearest", "up", "down"] = "nearest"

    def __post_init__(self) -> None:
        money.number("multiple_of", self.multiple_of, SMALLEST_STEP, LARGEST_STEP)
        money.number("plus", self.plus, -LARGEST_STEP, LARGEST_STEP)
        if abs(self.plus) >= self.multiple_of:
            raise ValueError("`plus` must be smaller than multiple_of")


def multiple(amount: Ratio, step: Decimal, plus: Decimal, mode: Mode) -> Decimal:
    """step × k + plus for the k that is nearest to, or next above or below (amount − plus) / step; k is 0 or more."""
    num, den = amount.num, amount.den
    if plus:
        num = subtract(num, multiply(plus, den))
    count = whole(num, step if den is ONE else multiply(den, step), mode)
    return add(multiply(count, step), plus)


_MODES: dict[str, Mode] = {"nearest": "HALF_UP", "up": "CEILING", "down": "FLOOR"}


def ended(amount: Ratio, ending: Ending, floor: Decimal, ceiling: Decimal | None) -> Decimal | None:
    """The price with the ending; one that would cross a bound takes the next ending inside it, else the bound.

    A price of 0 stays 0, and any other stays above 0. None: the price has no such ending.
    """
    if not amount.num:
        return ZERO
    if ceiling is not None and ceiling < floor:
        ceiling = None  # the floor wins
    step, plus = ending.multiple_of, ending.plus
    price = multiple(amount, step, plus, _MODES[ending.to])
    crossed: Decimal | None = None
    if ceiling is not None and price > ceiling:
        price, crossed = multiple(Ratio(ceiling), step, plus, "FLOOR"), ceiling
    if price < floor:
        crossed = floor if crossed is None else crossed
        price = multiple(Ratio(floor), step, plus, "CEILING")
    if price <= 0:
        price = add(price, step)
    if ceiling is None or price <= ceiling:
        return price
    return crossed or ceiling if crossed is not None else None
