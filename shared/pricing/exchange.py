"""Market values: multipliers and exchange rates, each in force from an instant on."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from shared.pricing.ratio import ONE, Ratio, multiply

_SAME = Ratio(ONE)
_APART = Decimal("0.01")


class Since(NamedTuple):
    """A value and the instant from which it is in force; None: there is none from then on."""

    since: datetime
    value: Decimal | None


Timeline = tuple[Since, ...]


class Current(NamedTuple):
    """The value in force, and the next instant at which it changes."""

    value: Decimal | None
    until: datetime | None


class Rate(NamedTuple):
    """A factor from one currency to another, and the next instant at which it changes."""

    factor: Ratio
    until: datetime | None


def in_force(timeline: Timeline, at: datetime) -> Current:
    """The value in force at the instant; the timeline ascends."""
    until = None
    for row in reversed(timeline):
        if row.since <= at:
            return Current(row.value, until)
        until = row.since
    return Current(None, until)


def earliest(one: datetime | None, other: datetime | None) -> datetime | None:
    """The earlier of two instants; None counts as never."""
    if other is None:
        return one
    return other if one is None or other < one else one


class MarketValues:
    """All multipliers and rates of one version.

    Args:
        multipliers: Code of the market → its timeline.
        rates: (from, to) → its timeline; one unit of `from` is that many of `to`.
    """

    def __init__(
        self,
        multipliers: Mapping[str, Timeline] | None = None,
        rates: Mapping[tuple[str, str], Timeline] | None = None,
        version: int = 0,
    ) -> None:
        self.version = version
        self.multipliers = dict(multipliers or {})
        self.rates = dict(rates or {})
        self._currencies = sorted({code for pair in self.rates for code in pair})
        # The last answer of each pair, and an instant from which on it holds until its end.
        self._last: dict[tuple[str, str], tuple[datetime, Rate]] = {}
        self._ways: dict[tuple[str, str], list[tuple[tuple[Timeline, bool], ...]]] = {}

    def rate(self, source: str, target: str, at: datetime) -> Rate | None:
        """The rate in force: the pair's own, else the inverse of the other direction's, else through a third currency.

        Of several third currencies the first by name counts. None: there is no rate.
        """
        if source == target:
            return Rate(_SAME, None)
        last = self._last.get((source, target))
        if last is not None and last[0] <= at and (last[1].until is None or at < last[1].until):
            return last[1]
        found = self._rate(source, target, at)
        if found is not None:
            self._last[source, target] = at, found
        return found

    def _rate(self, source: str, target: str, at: datetime) -> Rate | None:
        ways = self._ways.get((source, target))
        if ways is None:
            ways = self._ways[source, target] = list(self._find(source, target))
        until: datetime | None = None
        for way in ways:
            factor: Ratio | None = _SAME
            for timeline, inverse in way:
                value, change = in_force(timeline, at)
                until = earliest(until, change)
                if value is None or factor is None:
                    factor = None
                else:
                    factor = factor.over(value) if inverse else factor.times(value)
            if factor is not None:
                return Rate(factor, until)
        return None

    def _find(self, source: str, target: str) -> Iterable[tuple[tuple[Timeline, bool], ...]]:
        for leg in self._legs(source, target):
            yield (leg,)
        for between in self._currencies:
            for first in self._legs(source, between):
                for second in self._legs(between, target):
                    yield (first, second)

    def _legs(self, source: str, target: str) -> Iterable[tuple[Timeline, bool]]:
        if (timeline := self.rates.get((source, target))) is not None:
            yield timeline, False
        if (timeline := self.rates.get((target, source))) is not None:
            yield timeline, True


def check_rates(rates: Mapping[tuple[str, str], Decimal]) -> None:
    """Raise ValueError where a pair's two directions are more than 1 % apart."""
    for (source, target), value in rates.items():
        back = rates.get((target, source))
        if back is not None and abs(multiply(value, back) - 1) > _APART:
            raise ValueError(
                f"`{source}/{target}` must be the inverse of {target}/{source} ({back}), not {value}; leave one out"
            )
