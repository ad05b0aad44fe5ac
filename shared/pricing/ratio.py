"""Exact amounts that may have a divisor: a division comes last, so that a tie of the exact result stays a tie."""

from decimal import Decimal
from typing import Literal, get_args

from msgspec import Struct

from shared.pricing.money import context_of

ZERO, ONE = Decimal(0), Decimal(1)
Mode = Literal["HALF_UP", "HALF_DOWN", "HALF_EVEN", "CEILING", "FLOOR"]

# Products and sums are exact: the precision is beyond the digits of any chain of rules. Only digits that exist cost.
_WIDE = context_of(9_999)
# The context's own operations, as in `money`: entering a context costs more.
multiply, add, subtract = _WIDE.multiply, _WIDE.add, _WIDE.subtract
_UNITS = [ONE.scaleb(-digits) for digits in range(7)]
_SHOWN = context_of(40)
_ROUNDINGS: dict[Mode, str] = {mode: f"ROUND_{mode}" for mode in get_args(Mode)}


class Ratio(Struct, frozen=True, gc=False):
    """The amount `num` / `den`, exactly; `den` is above 0."""

    num: Decimal
    den: Decimal = ONE

    def times(self, factor: Decimal) -> "Ratio":
        """The amount × factor."""
        return Ratio(multiply(self.num, factor), self.den)

    def over(self, divisor: Decimal) -> "Ratio":
        """The amount / divisor, which is above 0."""
        return Ratio(self.num, divisor if self.den is ONE else multiply(self.den, divisor))

    def by(self, factor: "Ratio") -> "Ratio":
        """The amount × factor."""
        den = factor.den
        return Ratio(multiply(self.num, factor.num), self.den if den is ONE else multiply(self.den, den))

    def below(self, other: "Ratio") -> bool:
        """Whether the amount is less than the other one."""
        if self.den is other.den:
            return self.num < other.num
        return multiply(self.num, other.den) < multiply(other.num, self.den)


def whole(num: Decimal, den: Decimal, mode: Mode) -> Decimal:
    """num / den as a whole number; a negative `num` counts as 0."""
    if den is ONE:
        return max(num, ZERO).quantize(ONE, _ROUNDINGS[mode], _WIDE)
    if num <= 0:
        return ZERO
    quotient, rest = _WIDE.divmod(num, den)
    if not rest or mode == "FLOOR":
        return quotient
    twice = add(rest, rest)
    up = mode == "CEILING" or twice > den or (twice == den and _tie_goes_up(quotient, mode))
    return add(quotient, ONE) if up else quotient


def _tie_goes_up(quotient: Decimal, mode: Mode) -> bool:
    return mode == "HALF_UP" or (mode == "HALF_EVEN" and bool(_WIDE.remainder(quotient, Decimal(2))))


def to_places(amount: Decimal, places: int, mode: Mode) -> Decimal:
    """As `rounded`, for an amount without a divisor."""
    unit = _UNITS[places]
    return amount if amount.same_quantum(unit) else amount.quantize(unit, _ROUNDINGS[mode], _WIDE)


def rounded(amount: Ratio, places: int, mode: Mode) -> Decimal:
    """The amount with that many decimals, 0 to 6; it is not negative."""
    num, den = amount.num, amount.den
    if den is ONE:
        return to_places(num, places, mode)
    return whole(num.scaleb(places, _WIDE), den, mode).scaleb(-places, _WIDE)


def reduced(amount: Ratio) -> Ratio:
    """The same amount without a divisor, where the division has an end within 40 digits."""
    num, den = amount.num, amount.den
    quotient = _SHOWN.divide(num, den)
    return Ratio(quotient) if multiply(quotient, den) == num else amount


def approximate(amount: Ratio) -> Decimal:
    """The amount for an explanation: exact, or with 40 digits where a division has no end."""
    num, den = amount.num, amount.den
    return num if den is ONE else _SHOWN.divide(num, den)
