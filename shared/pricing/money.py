"""Amounts and rounding. Money is Decimal; no float, no ambient decimal context.

The checks at the end are for `__post_init__`: each raises a ValueError whose text starts with the
field in backticks, for instance "`price` must be 0 or more".
"""

from contextlib import AbstractContextManager
from decimal import (
    ROUND_CEILING,
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    InvalidOperation,
    Overflow,
    localcontext,
)
from functools import lru_cache
from typing import Literal

from shared.pricing.currencies import exponent

Rounding = Literal["HALF_UP", "HALF_DOWN", "HALF_EVEN"]

MAX_AMOUNT, AMOUNT_DECIMALS = Decimal("999999999999.9999"), 4
MIN_MULTIPLIER = Decimal("0.01")
MAX_MULTIPLIER = Decimal(100)


def context_of(digits: int) -> Context:
    """A decimal context of so many digits. Every setting is named: other libraries may change the default context."""
    return Context(
        prec=digits,
        rounding=ROUND_HALF_EVEN,
        Emin=-999_999,
        Emax=999_999,
        capitals=1,
        clamp=0,
        flags=[],
        traps=[InvalidOperation, DivisionByZero, Overflow],
    )


# 60 digits keep every product exact: published price (14 + 18 digits before and after the point)
# × market (3 + 4) × tier price (12 + 4) × membership (1 + 4) needs at most 60. The one division (by
# the list price, for a tier) is inexact, but a quotient that is not a tie is at least 1e-42 from one,
# and its error is below 1e-44 for any price that can be charged.
_EXACT = context_of(60)
# The context's own operations: entering the context costs more than all operations of a quote.
multiply, subtract, divide = _EXACT.multiply, _EXACT.subtract, _EXACT.divide

_UNITS = [Decimal(1).scaleb(-digits) for digits in range(7)]
_SHOWN_UNIT = _UNITS[6]


class _MinorUnits(dict[str, Decimal]):
    """The minor unit of each currency."""

    def __missing__(self, currency: str) -> Decimal:
        return self.setdefault(currency, _UNITS[exponent(currency)])


_MINOR_UNITS = _MinorUnits()


def exact() -> AbstractContextManager[Context]:
    """The decimal context of all price arithmetic, independent of the caller's: `with exact(): …`."""
    return localcontext(_EXACT)


def round_to(amount: Decimal, currency: str, rounding: Rounding = "HALF_UP", decimals: int | None = None) -> Decimal:
    """Round to the currency's minor unit: 8.925 USD is 8.93, with HALF_DOWN 8.92; or to a smaller unit."""
    unit = _unit(currency, decimals)
    return amount if amount.same_quantum(unit) else amount.quantize(unit, f"ROUND_{rounding}", _EXACT)


def ceil_to(amount: Decimal, currency: str, decimals: int | None = None) -> Decimal:
    """The smallest amount in whole minor units, or smaller ones, that is not below `amount`."""
    unit = _MINOR_UNITS[currency] if decimals is None else _unit(currency, decimals)
    return amount if amount.same_quantum(unit) else amount.quantize(unit, ROUND_CEILING, _EXACT)


def floor_to(amount: Decimal, currency: str, decimals: int | None = None) -> Decimal:
    """The largest amount in whole minor units, or smaller ones, that is not above `amount`."""
    unit = _MINOR_UNITS[currency] if decimals is None else _unit(currency, decimals)
    return amount if amount.same_quantum(unit) else amount.quantize(unit, ROUND_FLOOR, _EXACT)


def _unit(currency: str, decimals: int | None) -> Decimal:
    """The currency's minor unit, or a smaller one of a product that has more decimals."""
    unit = _MINOR_UNITS[currency]
    return unit if decimals is None else min(unit, _UNITS[min(decimals, AMOUNT_DECIMALS)])


def trimmed(amount: Decimal, currency: str) -> Decimal:
    """The same value with the currency's decimals, and more only where they are not zero.

    Equal amounts come out with equal digits, so 35 and 35.000 give the same bytes.
    """
    unit = _MINOR_UNITS[currency]
    if amount.same_quantum(unit):
        return amount
    whole = amount.quantize(unit, None, _EXACT)
    return whole if whole == amount else amount.normalize(_EXACT)


def shown(amount: Decimal, currency: str) -> Decimal:
    """The amount for an explanation: `trimmed`, with at most six decimals."""
    unit = _MINOR_UNITS[currency]
    if amount.same_quantum(unit):
        return amount
    if (whole := amount.quantize(unit, None, _EXACT)) == amount:
        return whole
    six = amount.quantize(_SHOWN_UNIT, None, _EXACT)
    return whole if six == whole else six.normalize(_EXACT)


# Cached: every product has the same few shares of the policy.
@lru_cache(maxsize=256)
def percent(part: Decimal) -> str:
    """A share in words: 0.05 is "5 %"."""
    return f"{plain(part.scaleb(2, _EXACT))} %"


def plain(number: Decimal) -> str:
    """A number in words, without exponent and trailing zeros: 1.2500 is "1.25"."""
    normal = number.normalize(_EXACT)
    text = _EXACT.to_sci_string(normal)  # in half the time of a format
    return f"{normal:f}" if "E" in text else text


def amount(field: str, value: Decimal) -> None:
    """Raise ValueError unless `value` is in [0, 999999999999.9999] with at most 4 decimals."""
    _within(field, value, Decimal(0), MAX_AMOUNT)
    _decimals(field, value, AMOUNT_DECIMALS)


def amount_in_currency(field: str, value: Decimal, currency: str, decimals: int | None = None) -> None:
    """Raise ValueError unless `value` is an amount in whole minor units of a known currency.

    Trailing zeros are no decimals: 10.0000 USD passes, 10.001 USD does not. It passes with `decimals` of 3 or more, of
    which 4 count.
    """
    _within(field, value, Decimal(0), MAX_AMOUNT)
    _decimals(field, value, max(exponent(currency), min(decimals or 0, AMOUNT_DECIMALS)), f" in {currency}")


def multiplier(field: str, value: Decimal) -> None:
    """Raise ValueError unless `value` is in [0.01, 100] with at most 4 decimals."""
    _within(field, value, MIN_MULTIPLIER, MAX_MULTIPLIER)
    _decimals(field, value, 4)


def share(field: str, value: Decimal) -> None:
    """Raise ValueError unless `value` is in [0, 1] with at most 4 decimals; 0.05 is 5 %."""
    _within(field, value, Decimal(0), Decimal(1))
    _decimals(field, value, 4)


def number(field: str, value: Decimal, lowest: Decimal, highest: Decimal, places: int = 6) -> None:
    """Raise ValueError unless `value` is in [lowest, highest] with at most `places` decimals; it may be negative."""
    if not value.is_finite() or not lowest <= value <= highest:
        raise ValueError(f"`{field}` must be a number from {lowest} to {highest}")
    _decimals(field, value, places)


def _within(field: str, value: Decimal, lowest: Decimal, highest: Decimal) -> None:
    # A comparison never expands the zeros of 1e999999. The sign of -0 is refused as well.
    if not value.is_finite() or value.is_signed() or not lowest <= value <= highest:
        raise ValueError(f"`{field}` must be a number from {lowest} to {highest}")


def _decimals(field: str, value: Decimal, places: int, where: str = "") -> None:
    # Call after _within: quantize fails for a number with a huge exponent.
    if value != value.quantize(_UNITS[places], None, _EXACT):
        raise ValueError(f"`{field}` must have at most {places} decimals{where}")
