"""Price queries as callers send them."""

from typing import Annotated

from msgspec import Meta

from shared.pricing import query

LONGEST_OFFER_S = 31_536_000


class PriceQuery(query.PriceQuery, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True):
    """A query for the price of a product, for a place, a customer, a purchase and an instant.

    The fast path reads the pricing's own query, and leaves one with `offer_s` to the handlers: the ordinary query has
    no field for it.
    """

    offer_s: Annotated[
        Annotated[int, Meta(ge=1, le=LONGEST_OFFER_S)] | None,
        Meta(
            description="Guarantee the price for this time, in seconds, up to `max_offer_s` of the policy; null: not. "
            "Needs `prices:read`.",
            examples=[900],
        ),
    ] = None
