"""Bounds: floor and ceiling of one unit, in the currency and the form of the price."""

from decimal import Decimal

from msgspec import Struct

from shared.pricing.ratio import ZERO, Ratio, rounded


class Bounds(Struct, frozen=True, gc=False):
    """The lowest and the highest unit price; `ceiling` None: none."""

    floor: Decimal = ZERO
    ceiling: Decimal | None = None


def bounds(floor: Ratio, ceiling: Ratio | None, places: int) -> Bounds:
    """The bounds in whole units of the rounding, inside the exact ones: rounding cannot cross them any more.

    A ceiling of less than the smallest unit is 0.
    """
    highest = None if ceiling is None else rounded(ceiling, places, "FLOOR")
    return Bounds(rounded(floor, places, "CEILING"), highest)
