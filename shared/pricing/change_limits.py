"""Change limits as data: how far and how often automation may move a price."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Annotated
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct

from shared.pricing import money
from shared.pricing.windows import nearest_instant, zone_of

_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d", re.ASCII).fullmatch
_MOST = Decimal(100)
_DAY = timedelta(days=1)


class QuietHours(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """The time of each day, [from, until), in which automation changes no price; it may include midnight."""

    from_: str
    until: str

    def __post_init__(self) -> None:
        for field, time in (("from", self.from_), ("until", self.until)):
            if not _TIME(time):
                raise ValueError(f"`{field}` must be a time of day such as 22:00, not {time[:40]!r}")
        if self.from_ == self.until:
            raise ValueError("`until` must differ from from; to stop automation all day, set automation to observe")


class ChangeLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The limits of automated changes; None: no such limit.

    Attributes:
        max_step_up: The largest rise against the last price, a share of it in [0, 100].
        max_step_down: The largest fall against the last price, in [0, 1].
        max_day_up: The largest rise against the price 24 hours ago, in [0, 100].
        max_day_down: The largest fall against the price 24 hours ago, in [0, 1].
        min_minutes: The minutes between two changes.
        changes_a_day: The changes in any 24 hours.
        quiet_hours: The time of each day without changes, by the clock of `zone`.
        zone: An IANA time zone.
    """

    max_step_up: Decimal | None = None
    max_step_down: Decimal | None = None
    max_day_up: Decimal | None = Decimal("0.5")
    max_day_down: Decimal | None = Decimal("0.5")
    min_minutes: Annotated[int, Meta(ge=1, le=1440)] | None = None
    changes_a_day: Annotated[int, Meta(ge=1, le=24)] | None = None
    quiet_hours: QuietHours | None = None
    zone: Annotated[str, Meta(max_length=64)] = "UTC"

    def __post_init__(self) -> None:
        for field, most in _SHARES:
            if (value := getattr(self, field)) is not None:
                money.number(field, value, Decimal(0), most, 4)
        zone_of(self.zone)


_SHARES = (("max_step_up", _MOST), ("max_step_down", Decimal(1)), ("max_day_up", _MOST), ("max_day_down", Decimal(1)))


def quiet_until(limits: ChangeLimits, at: datetime) -> datetime | None:
    """The end of the quiet hours in which `at` is, in UTC; None: it is in none.

    Of an ambiguous time of a clock change, quiet hours begin at the earlier instant and end at the later one. A time
    that the clocks skip is the first instant after the gap.
    """
    hours = limits.quiet_hours
    return None if hours is None else _end(hours.from_, hours.until, limits.zone, at)


@lru_cache(maxsize=64)  # all products of a batch are decided at one instant
def _end(begin: str, end: str, zone: str, at: datetime) -> datetime | None:
    now = at.astimezone(UTC)
    return next((last for first, last in _nights(begin, end, zone, now.toordinal()) if first <= now < last), None)


@lru_cache(maxsize=1024)
def _nights(begin: str, end: str, zone: str, day: int) -> tuple[tuple[datetime, datetime], ...]:
    """The quiet hours that may hold an instant of a day in UTC."""
    clock = ZoneInfo(zone)
    nights = []
    for shift in (-2, -1, 0, 1):
        first = datetime.fromordinal(day) + shift * _DAY
        last = first + _DAY if end < begin else first
        nights.append(
            (nearest_instant(_at(first, begin), clock, "from"), nearest_instant(_at(last, end), clock, "until"))
        )
    return tuple(nights)


def _at(day: datetime, time: str) -> datetime:
    hour, minute = time.split(":")
    return day.replace(hour=int(hour), minute=int(minute))
