"""Charts as SVG: where their shapes stand. Templates draw them; percentages let them grow with the page."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple

from api.console import shown
from shared.prices.history import PriceChange
from shared.pricing.explanation import Step

# The unit of a step chart is a thousandth of its width, and of its height.
UNIT = 1000
# A bound this share of the price away is near.
NEAR = Decimal("0.1")
# As wide as a digit, and as a point.
BLANK, POINT_BLANK = "\u2007", "\u2008"


class Bar(NamedTuple):
    """A step of a waterfall, its amounts with their points one below the other; places are in percent of the row."""

    step: Step
    before: str
    after: str
    left: float
    width: float
    kind: str


class Column(NamedTuple):
    """A class of a histogram; its width is in percent of the largest one."""

    label: str
    products: int
    width: float
    kind: str


class Span(NamedTuple):
    """A window on a calendar; places are in percent of its width."""

    left: float
    width: float


class Dot(NamedTuple):
    """A change on a step chart, in percent of its width and height."""

    x: float
    y: float
    change: PriceChange


class StepChart(NamedTuple):
    """A price over time.

    Attributes:
        path: The line, in thousandths of width and height.
        area: The same, closed at the bottom.
        lines: Heights of the grid in percent, with the amounts there.
        bounds: Heights of the floor, the ceiling and the lowest competitor in percent, with their names.
        marks: Places of the grid in percent, with the instants there.
    """

    path: str
    area: str
    dots: list[Dot]
    lines: list[tuple[float, Decimal]]
    bounds: list[tuple[float, str, Decimal]]
    marks: list[tuple[float, datetime]]


def waterfall(steps: Sequence[Step]) -> list[Bar]:
    """The bars of an explanation, from the first price to the last one."""
    if not steps:
        return []
    amounts = [amount for step in steps for amount in (step.before, step.after)]
    lowest, highest = min(amounts), max(amounts)
    # The bars begin below the lowest price, so that each of them is seen; a scale from zero would hide small steps.
    begin = max(Decimal(0), lowest - (highest - lowest) / 2) if highest > lowest else Decimal(0)
    scale = 100 / float(highest - begin) if highest > begin else 0.0
    places = max(_places(amount) for amount in amounts)
    bars = []
    for step in steps:
        left, right = sorted((float(step.before - begin) * scale, float(step.after - begin) * scale))
        kind = "same" if step.before == step.after else "up" if step.after > step.before else "down"
        before, after = (_padded(amount, places) for amount in (step.before, step.after))
        bars.append(Bar(step, before, after, round(left, 2), round(max(right - left, 0.6), 2), kind))
    return bars


def histogram(classes: Sequence[Mapping[str, Any]]) -> list[Column]:
    """The classes of a plan's histogram, as `result` has them: from, to, products."""
    most = max((each["products"] for each in classes), default=1)
    return [
        Column(
            label=_between(each["from"], each["to"]),
            products=each["products"],
            width=round(max(100 * each["products"] / most, 0.6), 2),
            kind="up" if each["to"] is None or Decimal(each["to"]) > 0 else "down",
        )
        for each in classes
    ]


def span(opens: datetime | None, closes: datetime | None, since: datetime, until: datetime) -> Span | None:
    """The part of a window that lies on a calendar; None: none does."""
    left = max(opens or since, since)
    right = min(closes or until, until)
    if left >= right:
        return None
    return Span(
        round(100 * ((left - since) / (until - since)), 2), round(max(100 * ((right - left) / (until - since)), 0.6), 2)
    )


def _between(first: str | None, last: str | None) -> str:
    if first is None:
        return f"below {shown.percent(Decimal(last or 0))}"
    if last is None:
        return f"above {shown.percent(Decimal(first))}"
    return f"{shown.percent(Decimal(first))} to {shown.percent(Decimal(last))}"


def steps(
    changes: Sequence[PriceChange],
    current: Decimal,
    since: datetime,
    until: datetime,
    bounds: Mapping[str, Decimal | None] = MappingProxyType({}),
) -> StepChart:
    """The step chart of a published price.

    Args:
        changes: Those since `since`, the newest first.
        current: The price now.
        since: The left end.
        until: The right end.
        bounds: Amounts beside the price, by their names; None: there is none. Those far from the price are left out,
            since its own changes would be flat beside them.
    """
    ordered = [change for change in reversed(changes) if change.new_price is not None]
    first = next((change.old_price for change in ordered if change.old_price is not None), current)
    amounts = [first, current, *(change.new_price for change in ordered if change.new_price is not None)]
    near = max(max(amounts) - min(amounts), max(amounts) * NEAR)
    beside = [
        (name, amount)
        for name, amount in bounds.items()
        if amount is not None and min(amounts) - near <= amount <= max(amounts) + near
    ]
    amounts += [amount for _, amount in beside]
    bottom, top = _scale(min(amounts), max(amounts))

    def x(at: datetime) -> float:
        return max(0.0, min(1.0, (at - since) / (until - since)))

    def y(amount: Decimal) -> float:
        return 1 - float((amount - bottom) / (top - bottom))

    begins_late = bool(ordered) and ordered[0].old_price is None
    start = x(ordered[0].at) if begins_late else 0.0
    level = y(ordered[0].new_price or current) if begins_late else y(first)
    line = f"M{start * UNIT:.1f} {level * UNIT:.1f}"
    dots = []
    for change in ordered:
        assert change.new_price is not None  # noqa: S101 # deletions are left out above
        place, height = x(change.at), y(change.new_price)
        line += f"H{place * UNIT:.1f}V{height * UNIT:.1f}"
        dots.append(Dot(round(place * 100, 2), round(height * 100, 2), change))
    line += f"H{UNIT}"
    middle = (bottom + top) / 2
    return StepChart(
        path=line,
        area=f"{line}V{UNIT}H{start * UNIT:.1f}Z",
        dots=dots,
        lines=[
            (round(y(amount) * 100, 2), amount) for amount in (_shrunk(top, middle), middle, _shrunk(bottom, middle))
        ],
        bounds=[(round(y(amount) * 100, 2), name, amount) for name, amount in beside],
        marks=[(share * 100, since + (until - since) * share) for share in (0.0, 0.25, 0.5, 0.75, 1.0)],
    )


def _places(amount: Decimal) -> int:
    return max(0, -int(amount.as_tuple().exponent))


def _padded(amount: Decimal, places: int) -> str:
    """An amount with blanks as wide as digits behind it, so that points stand one below the other."""
    missing = places - _places(amount)
    blanks = BLANK * missing if _places(amount) or not missing else POINT_BLANK + BLANK * missing
    return f"{amount:,f}{blanks}"


def _scale(lowest: Decimal, highest: Decimal) -> tuple[Decimal, Decimal]:
    """The lower and the upper end of the axis: a part of the price above and below, also where it never changed."""
    room = max((highest - lowest) / 4, highest / 20, Decimal("0.01"))
    return max(Decimal(0), lowest - room), highest + room


def _shrunk(end: Decimal, middle: Decimal) -> Decimal:
    """A line a little inside the end of the axis."""
    return middle + (end - middle) * Decimal("0.8")
