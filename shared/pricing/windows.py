"""Windows: the time in which a rule is in force, [from, until), turned into instants when the rule is written."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal, Protocol
from zoneinfo import ZoneInfo, reset_tzpath

# The zones of the pinned `tzdata`, not the machine's.
reset_tzpath(())

Edge = Literal["from", "until"]

_WRITTEN = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?)?", re.ASCII).fullmatch
_SECOND = timedelta(seconds=1)


class Windowed(Protocol):
    """A part of the rulebook that is in force in a window only."""

    @property
    def from_(self) -> str | None:
        """The beginning, as written."""

    @property
    def until(self) -> str | None:
        """The end, as written."""

    @property
    def zone(self) -> str:
        """The IANA zone of times without an offset."""


def window(part: Windowed) -> tuple[datetime | None, datetime | None]:
    """The instants in UTC at which the window opens (inclusive) and closes (exclusive); None: no such edge.

    Raises:
        ValueError: a time or the zone is wrong, or the window ends before it starts; the text starts with the field
            in backticks.
    """
    opens, closes = instant(part.from_, part.zone, "from"), instant(part.until, part.zone, "until")
    if opens is not None and closes is not None and closes <= opens:
        raise ValueError(f"`until` must be after from; {part.until} is not after {part.from_}")
    return opens, closes


@lru_cache(maxsize=1_024)  # a file has the same few times in many rows
def instant(written: str | None, zone: str, edge: Edge) -> datetime | None:
    """The instant of a written time; a time without offset is read in `zone`.

    Of an ambiguous time, `from` takes the earlier instant and `until` the later one: the window has both hours.

    Raises:
        ValueError: the time has another form or does not exist in the zone, or the zone is unknown.
    """
    clock = zone_of(zone)
    if written is None:
        return None
    try:
        time = datetime.fromisoformat(written) if _WRITTEN(written) else None
        if time is not None and time.tzinfo is not None:
            return time.astimezone(UTC)
        found = None if time is None else _in_zone(time, clock, edge)
    except (ValueError, OverflowError):
        found = time = None
    if time is None:
        raise ValueError(f"`{edge}` must be a time such as 2026-11-27T00:00:00, not {written[:40]!r}")
    if found is None:
        before, after = _neighbours(time, clock)
        raise ValueError(
            f"`{edge}` must exist in {zone}: clocks skip {written}; use {before.isoformat()} or {after.isoformat()}"
        )
    return found


def nearest_instant(time: datetime, clock: ZoneInfo, edge: Edge) -> datetime:
    """As `instant`, for a time of a zone's clocks; a time that they skip is the first instant after the gap."""
    found = _in_zone(time, clock, edge)
    return found if found is not None else _neighbours(time, clock)[1].replace(tzinfo=clock).astimezone(UTC)


def zone_of(name: str) -> ZoneInfo:
    """The IANA zone of a name.

    Raises:
        ValueError: there is no such zone.
    """
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise ValueError(f"`zone` must be an IANA time zone such as Europe/Berlin, not {name[:80]!r}") from None


def _in_zone(time: datetime, clock: ZoneInfo, edge: Edge) -> datetime | None:
    """None for a time that the clocks of the zone skip."""
    there = time.replace(tzinfo=clock, fold=1 if edge == "until" else 0).astimezone(UTC)
    return there if there.astimezone(clock).replace(tzinfo=None) == time else None


def _neighbours(time: datetime, clock: ZoneInfo) -> tuple[datetime, datetime]:
    """The last second before the gap and the first time after it."""
    first, last = (time.replace(tzinfo=clock, fold=fold).astimezone(UTC) for fold in (1, 0))
    offset = first.astimezone(clock).utcoffset()
    while last - first > _SECOND:
        middle = first + (last - first) / 2
        if middle.astimezone(clock).utcoffset() == offset:
            first = middle
        else:
            last = middle
    change = last.replace(microsecond=0)
    before, after = change - _SECOND, change
    return before.astimezone(clock).replace(tzinfo=None), after.astimezone(clock).replace(tzinfo=None)
