"""Endings: prices that end in .99, or are multiples of a step."""

from decimal import Decimal
from typing import Literal

from msgspec import Struct

from shared.pricing import money

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
