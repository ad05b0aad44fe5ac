"""Offers: quotes that are guaranteed until an instant. A token says all that is needed to keep one."""

from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct

from shared.pricing.answer import Quote
from shared.pricing.query import PriceQuery

_DEFAULTS = {
    field.name: field.default for field in msgspec.structs.fields(PriceQuery) if field.default is not msgspec.NODEFAULT
} | {"customer_groups": (), "attributes": {}}


class Offer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The content of a token. Its names are short: a token is copied into carts and addresses.

    Attributes:
        sub: The product.
        iat: The instant of the offer, in seconds since 1970, with milliseconds.
        exp: Its end, likewise.
        price: The price of one unit.
        total: The price of the quantity.
        cur: Their currency.
        v: The versions of the price sheet and of the rulebook.
        q: The query: its fields that are not the default, without the product.
    """

    sub: str
    iat: float
    exp: float
    price: Decimal
    total: Decimal
    cur: str
    v: tuple[int, int]
    q: dict[str, Any] = {}

    @property
    def query(self) -> PriceQuery:
        """The query whose price is guaranteed."""
        return msgspec.convert({"product_id": self.sub, **self.q}, PriceQuery)

    def payable(self, current: Quote | None) -> Decimal:
        """The lower of two totals: the guaranteed one, and the one of the same query now, where it has a price."""
        if current is None or current.currency != self.cur:
            return self.total
        return min(self.total, current.total)


def offer(priced: Quote, query: PriceQuery, at_s: float, offer_s: int) -> Offer:
    """The offer of a quote.

    Args:
        priced: The quote.
        query: The query that it answers.
        at_s: The instant of the quote, in seconds since 1970.
        offer_s: The time for which the price is guaranteed, in seconds.
    """
    asked = {name: getattr(query, name) for name in _DEFAULTS}
    issued_at = round(at_s, 3)
    return Offer(
        sub=priced.product_id,
        iat=issued_at,
        exp=round(issued_at + offer_s, 3),
        price=priced.final_price,
        total=priced.total,
        cur=priced.currency,
        v=(priced.version, priced.rulebook_version),
        q={name: value for name, value in asked.items() if value != _DEFAULTS[name]},
    )
