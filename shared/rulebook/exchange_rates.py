"""Exchange rates: market values of pairs of currencies."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from shared.errors import InvalidInput, NotFound
from shared.postgres.pools import Conn
from shared.pricing import currencies, exchange
from shared.rulebook import values
from shared.rulebook.values import By, NewValue, Pair

LOWEST, HIGHEST, PLACES = Decimal("0.000000001"), Decimal(1_000_000_000_000), 12


class NewRate(NamedTuple):
    """One unit of `source` is `rate` units of `target`; from now on, or since an instant of the past."""

    source: str
    target: str
    rate: Decimal
    since: datetime | None = None


def put(conn: Conn, rates: Sequence[NewRate], by: By) -> int:
    """Put rates in force, others stay; returns the version of the market values.

    Raises:
        InvalidInput: a currency or a rate is wrong, or two rates contradict each other; the path has its index.
    """
    check(rates)
    values.lock(conn)
    from_now_on = {(rate.source, rate.target): rate.rate for rate in rates if rate.since is None}
    try:
        exchange.check_rates({**in_force(conn), **from_now_on})
    except ValueError as error:
        raise InvalidInput(str(error), "$.rates") from None
    return values.add(conn, [NewValue("exchange_rate", _name(rate[:2]), rate.rate, rate.since) for rate in rates], by)


def check(rates: Iterable[NewRate]) -> None:
    """Raise InvalidInput where a currency or a rate is wrong by itself; the path has its index."""
    for index, rate in enumerate(rates):
        _check(rate, f"$.rates[{index}]")


def delete(conn: Conn, pair: Pair, by: By) -> int:
    """Let a pair have no rate from now on; returns the version of the market values.

    Raises:
        NotFound: it has none.
    """
    values.lock(conn)
    if pair not in in_force(conn):
        raise NotFound(f"no exchange rate from {pair[0]} to {pair[1]}")
    return values.add(conn, [NewValue("exchange_rate", _name(pair), None)], by)


def in_force(conn: Conn) -> dict[Pair, Decimal]:
    """The rates that are in force now."""
    found = values.in_force(conn, "exchange_rate")
    return {(name[:3], name[4:]): rate for name, rate in found.items()}


def repeated(pairs: Iterable[Pair]) -> int | None:
    """The index of the first pair that was there before; None: each is there once."""
    seen: set[Pair] = set()
    for index, pair in enumerate(pairs):
        if pair in seen:
            return index
        seen.add(pair)
    return None


def _check(rate: NewRate, path: str) -> None:
    try:
        currencies.known_currency("from", rate.source)
        currencies.known_currency("to", rate.target)
        if rate.source == rate.target:
            raise ValueError("`to` must be another currency than from")
        if not rate.rate.is_finite() or not LOWEST <= rate.rate <= HIGHEST:
            raise ValueError(f"`rate` must be a number from {LOWEST:f} to {HIGHEST}")
        if -int(rate.rate.as_tuple().exponent) > PLACES:
            raise ValueError(f"`rate` must have at most {PLACES} decimals")
    except ValueError as error:
        _, field, reason = str(error).split("`", 2)
        raise InvalidInput(reason.strip(), f"{path}.{field}") from None


def _name(pair: Sequence[object]) -> str:
    return f"{pair[0]}/{pair[1]}"
