"""Public prices of the past: the price of one piece for everybody in a market, computed again from the history."""

from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from typing import NamedTuple

from shared.errors import NoHistory, NotFound
from shared.postgres.pools import Conn
from shared.prices import history, imported_prices
from shared.pricing.answer import NoPrice, Quote, UnknownMarket
from shared.pricing.compiled import BoundSheet, Terms
from shared.pricing.exchange import earliest
from shared.pricing.lowest_price import LowestPrice, PublicPrice, lowest_price
from shared.pricing.query import PriceQuery
from shared.pricing.quote import quote
from shared.rulebook.past import PastTerms

# The newest changes of the product, the rulebook and the market values that are looked at.
MOST_CHANGES = 10_000


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
    query = PriceQuery(product_id=product_id, user_location=market)
    quoted = list(_quoted(conn, past, query, since, at))
    if not quoted:
        raise NotFound(f"no price of product {product_id!r} in market {market!r} at {at.isoformat()}")
    currency = quoted[-1][1].currency
    every = [_public(begins, priced, terms) for begins, priced, terms in quoted if priced.currency == currency]
    imported = imported_prices.of(conn, product_id, place.code, since, every[0].at)
    rows = imported + [
        next(same) for _, same in groupby(every, key=lambda row: (row.price, row.reference, row.reduction))
    ]
    rules = place.rules
    days = rules.lowest_price_days
    low = lowest_price(rows, at, days=days, mode=rules.lowest_price_mode, progressive=rules.progressive)
    return PublicPrices(currency, rows, days, low)


def _quoted(
    conn: Conn, past: PastTerms, query: PriceQuery, since: datetime, at: datetime
) -> Iterator[tuple[datetime, Quote, Terms]]:
    """A quote at each instant at which the price may have changed: after each write, and at each edge of a window."""
    values = {"product_id": query.product_id, "since": since, "at": at, "limit": MOST_CHANGES}
    changes = [row["at"] for row in conn.execute(_CHANGES, values)]
    now: datetime | None = changes.pop() if changes else None
    while now is not None and now <= at:
        edge = None
        try:
            terms = past.as_of(conn, now)
            priced = quote(terms, BoundSheet(terms.rules, history.sheet_as_of(conn, query.product_id, now)), query, now)
            yield now, priced, terms
            edge = priced.valid_until
        except (NotFound, NoHistory, NoPrice, UnknownMarket):
            pass  # it had no price then
        while changes and changes[-1] <= now:
            changes.pop()
        now = earliest(edge, changes[-1] if changes else None)


def _public(at: datetime, priced: Quote, terms: Terms) -> PublicPrice:
    rule = None if priced.price_list is None else terms.rules.lists.get(priced.price_list)
    sale = [rule.part.id] if rule is not None and rule.part.kind == "sale" else []
    reduction = ", ".join([*sale, *priced.promotions]) or None
    reference = priced.reference_price if reduction and priced.reference_price > priced.final_price else None
    return PublicPrice(
        at=at, price=priced.final_price, reference=reference, reduction=None if reference is None else reduction
    )


# Newest first. The first instant of the time counts, too: a price was in force already.
_CHANGES = """
SELECT at FROM (
    SELECT recorded_at AS at FROM price_history WHERE product_id = %(product_id)s
    UNION SELECT at FROM rulebooks
    UNION SELECT recorded_at FROM market_values
    UNION SELECT %(since)s::timestamptz
) c WHERE at BETWEEN %(since)s AND %(at)s ORDER BY at DESC LIMIT %(limit)s
"""
