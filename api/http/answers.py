"""The answer to a price query, common to the fast path and the handlers, and the paths of price queries."""

from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from shared.cache.reader import Found, Source
from shared.errors import NotFound, UnusableProduct
from shared.pricing.answer import Quote
from shared.pricing.compiled import BoundSheet
from shared.pricing.query import PriceQuery

# A query for now may take this long to arrive; so old may the sheet of any answer be.
LATE = timedelta(seconds=1)
PRICE_PATH = "/api/v1/price"
PRICES_PATH = "/api/v1/prices"
VERIFY_PATH = "/api/v1/offers/verify"
# They change nothing, though they are sent by POST.
READ_PATHS = (PRICE_PATH, PRICES_PATH, VERIFY_PATH)
CONSOLE_PATH = "/console"
LIVE_PATH = f"{CONSOLE_PATH}/live"
SIGN_IN_PATH = f"{CONSOLE_PATH}/sign-in"
_SOURCES: dict[Source, bytes] = {"cache": b',"source":"cache"}', "database": b',"source":"database"}'}
_encoder = msgspec.json.Encoder()


class MadeOffer(msgspec.Struct, frozen=True):
    """A guarantee of the price until an instant."""

    token: Annotated[
        str,
        Meta(
            description="A compact JWS, for `POST /api/v1/offers/verify`, or to be verified with the keys at "
            "`/.well-known/jwks.json`",
            examples=["eyJhbGciOiJFZERTQSIs…"],
        ),
    ]
    expires_at: Annotated[datetime, Meta(tz=True, description="Its end", examples=["2026-03-01T12:15:00Z"])]


class PriceAnswer(Quote, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """The answer to one price query."""

    source: Annotated[Source, Meta(description="Where the price sheet came from", examples=["cache"])]
    hidden_steps: Annotated[
        int,
        Meta(
            description="The number of steps and rejections that only keys with `catalogue:read` see: they show cost, "
            "floor or competitors",
            examples=[3],
        ),
    ] = 0
    offer: Annotated[MadeOffer | None, Meta(description="The guarantee; only with `offer_s`")] = None


def encoded(priced: Quote, source: Source) -> bytes:
    """The JSON of the `PriceAnswer` without an explanation: the quote's, which is not copied first, and the source."""
    return _encoder.encode(priced)[:-1] + _SOURCES[source]


def is_past(query: PriceQuery, now: datetime) -> bool:
    """Whether a query's price is one of the past, which the history has."""
    return query.at is not None and query.at < now - LATE


def sheet_for(query: PriceQuery, found: Found | None) -> tuple[BoundSheet, Source]:
    """The sheet for a query with its rules, and its source.

    Raises:
        NotFound: there is no such product.
        UnusableProduct: its sheet cannot be read.
    """
    if found is None:
        raise NotFound(f"no product {query.product_id!r}")
    if found.bound is None:
        raise UnusableProduct(f"the stored data of product {query.product_id!r} cannot be used")
    return found.bound, found.source
