"""Public prices of the past: the price of one piece for everybody in a market, computed again from the history."""

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from itertools import groupby, pairwise
from typing import Any, NamedTuple

import msgspec

from shared.errors import NoHistory, NotFound, UnusableProduct
from shared.postgres import arrays
from shared.postgres.pools import Conn
from shared.prices import imported_prices
from shared.prices.packing import unpacked
from shared.pricing import public_price
from shared.pricing.compiled import BoundSheet, Terms
from shared.pricing.lowest_price import LowestPrice, PublicPrice, lowest_price
from shared.pricing.market import location_key
from shared.pricing.public_price import Public
from shared.pricing.query import PriceQuery
from shared.pricing.sheet import PriceSheet
from shared.rulebook.past import PastTerms

# The newest changes of each product, and of the rulebook and the market values, that are looked at.
MOST_CHANGES = 10_000
# The currency of imported prices: they are in the market's.
IMPORTED = ""

InMarket = tuple[str, str]
"""A product, and the code of a market."""


class PublicPrices(NamedTuple):
    """The public prices of a product in a market, the oldest first, and the lowest one before the present reduction.

    Attributes:
        days: The days of the market's rule.
        lowest: None: no reduction is in force.
    """

    currency: str
    rows: list[PublicPrice]
    days: int
    lowest: LowestPrice | None


class _Period(NamedTuple):
    """A sheet, and the time in which it was in force."""

    since: datetime
    until: datetime
    sheet: PriceSheet


def in_market(conn: Conn, product_id: str, market: str, since: datetime, at: datetime) -> PublicPrices:
    """The public prices from `since` to `at`, those in the currency of the last one.

    Imported prices count before the engine's own ones.

    Raises:
        NotFound: there is no such market, or the product has no price then.
    """
    past = PastTerms()
    place = past.as_of(conn, at).place(market)
    if place is None:
        raise NotFound(f"no market {market!r}")
    found = of_products(conn, past, {product_id: [place.code]}, since, at).get((product_id, place.code))
    if not found or found[-1].currency == IMPORTED:
        raise NotFound(f"no price of product {product_id!r} in market {market!r} at {at.isoformat()}")
    currency = found[-1].currency
    rows = [public.row for public in found if public.currency in (currency, IMPORTED)]
    rules = place.rules
    days = rules.lowest_price_days
    low = lowest_price(rows, at, days=days, mode=rules.lowest_price_mode, progressive=rules.progressive)
    return PublicPrices(currency, rows, days, low)


def of_products(
    conn: Conn, past: PastTerms, wanted: Mapping[str, Collection[str]], since: datetime, until: datetime
) -> dict[InMarket, list[Public]]:
    """The public prices from `since` to `until`, the oldest first, each where it differs from the one before.

    Imported prices count before the engine's own ones; their currency is not known.

    Args:
        conn: A connection.
        past: The rulebooks.
        wanted: The codes of markets by product.
        since: The first instant.
        until: The last instant.
    """
    periods = {product_id: deque(group) for product_id, group in _periods(conn, wanted, since, until)}
    quoted: dict[InMarket, list[Public]] = {}
    for begins, ends in pairwise([since, *_terms_change(conn, since, until), None]):
        assert begins is not None  # noqa: S101 # only the last one is
        with suppress(NoHistory):  # there was no rulebook yet
            terms = past.as_of(conn, begins)
            for product_id, left in periods.items():
                for market in wanted[product_id]:
                    query = public_price.query_in(market)
                    row = quoted.setdefault((product_id, market), [])
                    for period in _within(left, begins, ends):
                        _extend(row, _quoted(terms, period, query, until))
    imported = imported_prices.of(conn, wanted, since, until)
    found: dict[InMarket, list[Public]] = {}
    for key in [(product_id, market) for product_id, markets in wanted.items() for market in markets]:
        product_id, market = key
        own, rows = quoted.get(key, []), list[Public]()
        earlier = imported.get((product_id, location_key(market)), [])
        _extend(rows, [Public(row, IMPORTED, None) for row in earlier if not own or row.at < own[0].row.at])
        _extend(rows, own)
        if rows:
            found[key] = rows
    return found


def changes(conn: Conn, product_ids: Iterable[str], since: datetime, until: datetime) -> dict[str, int]:
    """The number of instants at which prices of these products may have changed: the size of `of_products`."""
    common = len(_terms_change(conn, since, until)) + 1
    rows = conn.execute(_COUNT, {"ids": arrays.texts(product_ids), "since": since})
    return {row["product_id"]: row["n"] + common for row in rows}


def _extend(rows: list[Public], quoted: Iterable[Public]) -> None:
    """Append the prices that differ from the one before: of years only the changes are held."""
    for public in quoted:
        if not rows or _price(public) != _price(rows[-1]):
            rows.append(public)


def _price(public: Public) -> tuple[Any, ...]:
    return public.row.price, public.row.reference, public.row.reduction, public.currency


def _within(left: deque[_Period], begins: datetime, ends: datetime | None) -> Iterator[_Period]:
    """The periods between two instants, cut there; those that ended before are dropped."""
    while left and left[0].until <= begins:
        left.popleft()
    for period in left:
        if ends is not None and period.since >= ends:
            return
        yield _Period(
            max(period.since, begins), period.until if ends is None else min(period.until, ends), period.sheet
        )


def _quoted(terms: Terms, period: _Period, query: PriceQuery, until: datetime) -> Iterator[Public]:
    """A quote at the beginning of a period, and at each edge of a window in it."""
    bound = BoundSheet(terms.rules, period.sheet)
    now: datetime | None = period.since
    while now is not None and now < period.until and now <= until:
        public = public_price.public_price(terms, bound, query, now)
        if public is None:
            return
        yield public
        now = public.until


def _periods(
    conn: Conn, product_ids: Iterable[str], since: datetime, until: datetime
) -> Iterator[tuple[str, list[_Period]]]:
    rows = conn.execute(_SHEETS, {"ids": arrays.texts(product_ids), "since": since, "most": MOST_CHANGES})
    for product_id, changed in groupby(rows, key=lambda row: str(row["product_id"])):
        found: list[_Period] = []
        begins: datetime | None = None
        for row in changed:
            ends = row["at"] or datetime.max.replace(tzinfo=since.tzinfo)
            sheet = None if row["sheet"] is None else _decoded(row["sheet"])
            if sheet is not None:
                # Nothing is known from before the first change that is kept: its sheet is at least as old as its price.
                first = max(since, sheet.computed_at) if begins is None else begins
                found += [_Period(first, ends, sheet)] if first < ends and first <= until else []
            begins = row["at"]
        yield product_id, found


def _decoded(stored: bytes) -> PriceSheet | None:
    with suppress(msgspec.MsgspecError, ValueError, RecursionError, UnusableProduct):
        return _sheet.decode(unpacked(stored))
    return None


def _terms_change(conn: Conn, since: datetime, until: datetime) -> list[datetime]:
    values = {"since": since, "until": until, "most": MOST_CHANGES}
    return [row["at"] for row in conn.execute(_TERMS, values)][::-1]


_sheet = msgspec.json.Decoder(PriceSheet)

# One statement: a change between two would be missed. The last row of each product is its current sheet.
_SHEETS = """
SELECT product_id, at, sheet FROM (
    SELECT c.* FROM unnest(%(ids)s::text[]) AS t (id), LATERAL (
        SELECT product_id, recorded_at AS at, version, old_sheet AS sheet FROM price_history
        WHERE product_id = t.id AND recorded_at > %(since)s
        ORDER BY recorded_at DESC, version DESC LIMIT %(most)s) c
    UNION ALL
    SELECT product_id, NULL, NULL, convert_to(sheet, 'UTF8') FROM prices WHERE product_id = ANY(%(ids)s::text[])
) s ORDER BY product_id, at NULLS LAST, version
"""

_COUNT = """
SELECT id AS product_id, (SELECT count(*) FROM price_history WHERE product_id = id AND recorded_at > %(since)s) AS n
FROM unnest(%(ids)s::text[]) AS t (id)
"""

# Newest first.
_TERMS = """
SELECT at FROM (SELECT at FROM rulebooks UNION SELECT recorded_at FROM market_values) c
WHERE at > %(since)s AND at <= %(until)s ORDER BY at DESC LIMIT %(most)s
"""
