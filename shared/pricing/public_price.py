"""The public price: the quote of one unit in a market, for no member, group or customer."""

from datetime import datetime
from typing import NamedTuple

from shared.pricing.answer import NotQuoted
from shared.pricing.compiled import BoundSheet, Terms
from shared.pricing.lowest_price import PublicPrice, Reduction, reduction_by
from shared.pricing.query import PriceQuery
from shared.pricing.quote import quote


class Public(NamedTuple):
    """A public price with its currency, and the next instant at which it may change by itself; None: none known."""

    row: PublicPrice
    currency: str
    until: datetime | None


def query_in(market: str) -> PriceQuery:
    """The query of the public price in a market; it serves for any product."""
    return PriceQuery(product_id="any", user_location=market)


def public_price(terms: Terms, bound: BoundSheet, query: PriceQuery, at: datetime) -> Public | None:
    """The public price by a query of `query_in`; None: there is none."""
    try:
        priced = quote(terms, bound, query, at)
    except NotQuoted:
        return None
    chosen = None if priced.price_list is None else terms.rules.lists[priced.price_list].part
    name = reduction_by(chosen, priced.promotions)
    is_reduced = bool(name) and priced.reference_price > priced.final_price
    row = PublicPrice(
        at=at,
        price=priced.final_price,
        reference=priced.reference_price if is_reduced else None,
        reduction=name if is_reduced else None,
    )
    return Public(row, priced.currency, priced.valid_until)


def reduced(terms: Terms, bound: BoundSheet, query: PriceQuery, at: datetime) -> Public | None:
    """The public price in a market where a reduction is in force; None: there is none."""
    fitting = bound.fitting(query, at)
    if not fitting.promotions and all(rule.part.kind == "override" for rule in fitting.lists):
        return None
    public = public_price(terms, bound, query, at)
    return None if public is None or public.row.reduction is None else public


def reduction_of(public: Public, market: str) -> Reduction:
    """The reduction of a reduced price."""
    return Reduction(market=market, currency=public.currency, name=public.row.reduction or "")
