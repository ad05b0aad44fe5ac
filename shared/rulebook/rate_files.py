"""Files of exchange rates: our own CSV, and the two forms of the European Central Bank."""

import csv
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation

from shared.errors import InvalidInput
from shared.pricing.windows import zone_of
from shared.rulebook.exchange_rates import NewRate
from shared.wire import amounts

OWN = ("from", "to", "rate")
BASE = "EUR"
# The bank publishes its rates at about 16:00 on each working day.
PUBLISHED = time(16, tzinfo=zone_of("Europe/Berlin"))
_MISSING = {"", "N/A"}


def read(text: str) -> list[NewRate]:
    """The rates of a file, the oldest first.

    Our own form has the columns `from`, `to` and `rate`. The bank's have `Date` and a column for each currency, of
    which one euro is so many; the newest row is in force from now on, the others since the afternoon of their day.

    Raises:
        InvalidInput: it has another form, or a wrong rate; the path names the line.
    """
    rows = [[cell.strip() for cell in row] for row in csv.reader(text.lstrip("\ufeff").splitlines())]
    header = rows[0] if rows else []
    if tuple(header) == OWN:
        found = list(_own(rows[1:]))
    elif header[:1] == ["Date"]:
        found = list(_of_bank([name for name in header[1:] if name], rows[1:]))
    else:
        raise InvalidInput("must begin with the columns from,to,rate, or Date and currencies", "$[1]")
    if not found:
        raise InvalidInput("has no rates")
    return found


def _own(rows: Sequence[list[str]]) -> Iterator[NewRate]:
    for line, row in enumerate(rows, start=2):
        if any(row):
            if len(row) != len(OWN):
                raise InvalidInput(f"must have {len(OWN)} columns, not {len(row)}", f"$[{line}]")
            yield NewRate(row[0], row[1], _rate(row[2], line))


def _of_bank(names: Sequence[str], rows: Sequence[list[str]]) -> Iterator[NewRate]:
    days = [(_day(row[0], line), line, row[1:]) for line, row in enumerate(rows, start=2) if any(row)]
    days.sort(key=lambda each: each[0])
    for day, line, cells in days:
        if len(cells) < len(names):
            raise InvalidInput(f"must have {len(names) + 1} columns, not {len(cells) + 1}", f"$[{line}]")
        since = None if line == days[-1][1] else datetime.combine(day, PUBLISHED).astimezone(UTC)
        for name, cell in zip(names, cells, strict=False):
            if cell not in _MISSING:
                yield NewRate(BASE, name, _rate(cell, line), since)


def _rate(text: str, line: int) -> Decimal:
    try:
        if amounts.is_plain(text):
            return Decimal(text)
    except InvalidOperation:
        pass
    raise InvalidInput(f"{amounts.REASON}, not {text[:40]!r}", f"$[{line}].rate")


def _day(text: str, line: int) -> date:
    for form in ("%Y-%m-%d", "%d %B %Y"):
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC).date()
        except ValueError:
            continue
    raise InvalidInput(f"must begin with a day such as 2026-11-26, not {text[:40]!r}", f"$[{line}]")
