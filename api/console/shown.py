"""How amounts, numbers and times are shown."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import quote

import msgspec

from shared.pricing import money as money_rules
from shared.pricing.currencies import exponent
from shared.pricing.money import round_to
from shared.rulebook.documents import NUMBERS

_SPANS = ((timedelta(days=1), "d"), (timedelta(hours=1), "h"), (timedelta(minutes=1), "min"))
_JUST_NOW = timedelta(seconds=5)
# Beyond, the date says more.
_LONGEST = timedelta(days=60)


def money(amount: Decimal | str | None, currency: str) -> str:
    """An amount in the currency's decimals, with thousands apart: 1,234.50. None is empty."""
    return "" if amount is None else f"{round_to(Decimal(amount), currency):,.{exponent(currency)}f}"


def whole(amount: Decimal | float | None) -> str:
    """A number with thousands apart; None is empty."""
    return "" if amount is None else f"{amount:,}"


def plain(number: Decimal | None) -> str:
    """A decimal without zeros at its end; None is empty."""
    if number is None:
        return ""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def change(before: Decimal | None, after: Decimal | None) -> str:
    """The change in percent, with its sign: −4.8 %; empty where there is none to tell."""
    if before is None or after is None or not before:
        return ""
    share = round((after - before) / before * 100, 1)
    if not share:
        return "0.0 %"
    return f"{'+' if share > 0 else '−'}{abs(share):,.1f} %"


def share(change: str | Decimal) -> str:
    """A share as a change in percent, with its sign: +4.8 %."""
    rounded = round(Decimal(change) * 100, 1)
    return f"{rounded:+,f} %".replace("-", "−") if rounded else "0.0 %"


def percent(part: Decimal | None) -> str:
    """A share in percent: 0.05 is 5 %; None is empty."""
    return "" if part is None else money_rules.percent(part).replace("-", "−")


def words(name: str) -> str:
    """A name of the API as words: list_price is list price."""
    return name.replace("_", " ")


def document(part: object) -> str:
    """A part of a rulebook: a text as it is, else in JSON; empty where it is not there."""
    if part is msgspec.UNSET:
        return ""
    return part if isinstance(part, str) else NUMBERS.encode(part).decode()


def span(seconds: float) -> str:
    """A time span in its largest unit: 3 h."""
    length = timedelta(seconds=seconds)
    return next((f"{length // unit:,} {name}" for unit, name in _SPANS if length >= unit), f"{length.seconds} s")


def lasted(seconds: float) -> str:
    """How long something took: 34 ms, 1.2 s, 3 min."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else span(seconds)  # a minute


def ago(at: datetime | None, now: datetime | None = None) -> str:
    """An instant beside now: 3 h ago, in 5 min; None is empty."""
    if at is None:
        return ""
    distance = (now or datetime.now(UTC)) - at
    if abs(distance) < _JUST_NOW:
        return "just now"
    if abs(distance) > _LONGEST:
        return f"{at.astimezone(UTC):%Y-%m-%d}"
    length = span(abs(distance).total_seconds())
    return f"{length} ago" if distance > timedelta(0) else f"in {length}"


def exact(at: datetime | None) -> str:
    """An instant to the second, in UTC."""
    return "" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def day(at: datetime) -> str:
    """The day of an instant, in UTC: 20 Nov."""
    return f"{at.astimezone(UTC):%d %b}"


def machine(at: datetime) -> str:
    """An instant for the attribute `datetime`."""
    return at.astimezone(UTC).isoformat(timespec="seconds")


def local(at: datetime | None) -> str:
    """An instant for a field of a form, in UTC."""
    return "" if at is None else f"{at.astimezone(UTC):%Y-%m-%dT%H:%M}"


def segment(text: str) -> str:
    """A text as one segment of a path."""
    return quote(text, safe="")


FILTERS = {
    function.__name__: function
    for function in (
        money,
        whole,
        plain,
        change,
        share,
        percent,
        words,
        document,
        span,
        lasted,
        ago,
        exact,
        day,
        machine,
        local,
        segment,
    )
}
