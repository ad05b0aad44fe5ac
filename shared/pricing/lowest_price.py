"""The lowest price of the last N days, beside which a reduction is announced: directive 98/6/EC, article 6a.

An announced percentage refers to it: Court of Justice of the European Union, C-330/23.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct

from shared.pricing.money import exact
from shared.pricing.rulebook import PriceList

Instant = Annotated[datetime, Meta(tz=True)]
Mode = Literal["before_reduction", "rolling"]

_UNIT = Decimal("0.0001")
_NONE = Decimal(0)


class PublicPrice(Struct, frozen=True, gc=False, kw_only=True):
    """The public price of a product in a market from an instant on: one unit, no member, no group, no customer.

    Attributes:
        reference: The price that it is shown beside; one above `price` is a reduction.
        reduction: The sale list or promotion that announces it; None: unknown, such as in an imported history.
    """

    at: Instant
    price: Decimal
    reference: Decimal | None = None
    reduction: str | None = None


class LowestPrice(Struct, frozen=True, gc=False, kw_only=True):
    """The lowest price before a reduction.

    Attributes:
        price: None: no earlier price is known.
        before: The end of its window: the beginning of the reduction, or the last change.
        covers_from: The beginning of what is known of the window; None: nothing is.
        insufficient_history: Whether the history begins after the window.
    """

    price: Decimal | None
    before: Instant
    covers_from: Instant | None
    insufficient_history: bool


class Reduction(Struct, frozen=True, gc=False, kw_only=True):
    """A reduction as an answer shows it; two with the same fields are one reduction.

    Attributes:
        market: The market's code.
        currency: The currency of the price.
        name: The sale list and the promotions that lower the price, as `reduction_by` joins them.
    """

    market: str
    currency: str
    name: str


class Low(Reduction, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """The lowest price before a public reduction in one market, as the product's sheet holds it.

    Attributes:
        price: None: no earlier price is known.
        before: The end of its window.
        days: The days of the window.
        insufficient_history: Whether the history begins after the window.
        progressive: Whether the first of several reductions in a row ends the window.
        current: The public price with the last change of which a `rolling` window ends, and with which alone it is
            shown; None: the mode is `before_reduction`.
    """

    price: Decimal | None
    before: Instant
    days: int
    insufficient_history: bool = False
    progressive: bool = False
    current: Decimal | None = None


class ShownLow(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """The lowest price before the reduction that an answer shows, and the share by which the price is below it."""

    amount: Annotated[
        Decimal | None,
        Meta(
            description="The lowest public price of one unit; left out: no earlier price is known.", examples=["49.90"]
        ),
    ] = None
    share_off: Annotated[
        Decimal | None,
        Meta(description="The share by which the final price is below it, 0 to 1, rounded down.", examples=["0.2000"]),
    ] = None
    days: Annotated[int, Meta(description="The days of its window.", examples=[30])]
    before: Annotated[Instant, Meta(description="The end of its window.", examples=["2026-03-01T12:00:00Z"])]
    insufficient_history: Annotated[
        bool, Meta(description="true: the known history begins after the window does.", examples=[True])
    ] = False


def lowest_price(
    rows: Iterable[PublicPrice],
    at: datetime,
    *,
    days: int = 30,
    mode: Mode = "before_reduction",
    progressive: bool = False,
) -> LowestPrice | None:
    """The lowest public price of the days (of 24 hours) before the reduction that is in force at an instant.

    The price in force when the window opens counts, the reduction itself does not. The result is the same for as long
    as the reduction lasts. Its beginning is where its list or promotion began; where that is unknown, each new price
    is a reduction of its own. With `progressive` the beginning of the first of several reductions in a row counts.
    The mode `rolling` takes the days before the last change of the price instead.

    Rows may come in any order and more than once; of rows with one instant the last one is in force.

    Returns:
        None: no reduction is in force.
    """
    past = sorted((row for row in dict.fromkeys(rows) if row.at <= at), key=lambda row: row.at)
    if not past or not _is_reduced(past[-1]):
        return None
    begins = _last_change(past) if mode == "rolling" else _beginning(past, progressive=progressive)
    closes = past[begins].at
    opens = closes - timedelta(days=days)
    first = max((index for index in range(begins) if past[index].at <= opens), default=0)
    window = past[first:begins]
    return LowestPrice(
        price=min((row.price for row in window), default=None),
        before=closes,
        covers_from=max(opens, window[0].at) if window else None,
        insufficient_history=not window or window[0].at > opens,
    )


def share_off(lowest: Decimal, price: Decimal) -> Decimal:
    """The share by which a price is below the lowest one, rounded down to four decimals; 0 where it is not below."""
    if price >= lowest:
        return _NONE
    with exact():
        return ((lowest - price) / lowest).quantize(_UNIT, ROUND_FLOOR)


def reduction_by(chosen: PriceList | None, promotions: Sequence[str]) -> str:
    """The name of the reduction by the list that gives the price and by promotions; empty: there is none."""
    return ", ".join([chosen.id, *promotions] if chosen is not None and chosen.kind == "sale" else promotions)


def shown(lows: Iterable[Low], reduction: Reduction, price: Decimal) -> ShownLow | None:
    """What an answer of this price shows; None: the lowest price before its reduction has not been found yet.

    So it is where the reduction is not the public one: the lowest price is one of the prices for everybody.
    """
    for low in lows:
        if is_of(low, reduction) and low.current in (None, price):
            return ShownLow(
                amount=low.price,
                share_off=None if low.price is None else share_off(low.price, price),
                days=low.days,
                before=low.before,
                insufficient_history=low.insufficient_history,
            )
    return None


def is_of(low: Low, reduction: Reduction) -> bool:
    """Whether it is the lowest price before this reduction."""
    return low.market == reduction.market and low.currency == reduction.currency and low.name == reduction.name


def _is_reduced(row: PublicPrice) -> bool:
    return row.reference is not None and row.reference > row.price


def _last_change(past: Sequence[PublicPrice]) -> int:
    index = len(past) - 1
    while index and past[index - 1].price == past[index].price:
        index -= 1
    return index


def _beginning(past: Sequence[PublicPrice], *, progressive: bool) -> int:
    index = len(past) - 1
    while index and _is_reduced(past[index - 1]) and (progressive or _goes_on(past[index - 1], past[index])):
        index -= 1
    return index


def _goes_on(before: PublicPrice, after: PublicPrice) -> bool:
    """Whether two reduced prices are of one reduction."""
    if before.reduction is None and after.reduction is None:
        return before.price == after.price
    return before.reduction == after.reduction
