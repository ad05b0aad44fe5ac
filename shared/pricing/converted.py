"""Competitors' offers in other currencies, as offers in the product's currency."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from msgspec.structs import replace

from shared.pricing.exchange import MarketValues, earliest
from shared.pricing.money import MAX_AMOUNT
from shared.pricing.ratio import Ratio, rounded
from shared.pricing.signal import Signal

_DECIMALS = 4


def converted(
    signals: Iterable[Signal], currency: str, values: MarketValues, at: datetime
) -> tuple[list[Signal], datetime | None]:
    """The signals with their amounts at the rates in force, rounded once to four decimals.

    An offer without a rate stays as it is, and the decision names it. Call it where the policy converts.

    Returns:
        The signals, and the next instant at which one of their rates changes: the decision is due then.
    """
    found: list[Signal] = []
    until: datetime | None = None
    for signal in signals:
        other = signal.currency
        rate = None if other is None or other == currency else values.rate(other, currency, at)
        if rate is None:
            found.append(signal)
            continue
        until = earliest(until, rate.until)
        value = _amount(signal.value, rate.factor)
        if not 0 < value <= MAX_AMOUNT:
            found.append(signal)
            continue
        shipping = None if signal.shipping is None else _amount(signal.shipping, rate.factor)
        found.append(replace(signal, value=value, shipping=shipping, currency=currency))
    return found, until


def _amount(amount: Decimal, factor: Ratio) -> Decimal:
    return rounded(Ratio(amount).by(factor), _DECIMALS, "HALF_UP")
