"""Offers: whether a guaranteed price still holds, the keys that verify one offline, and their revocation."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import structlog
from litestar import Request, Router, get, post
from litestar.openapi.spec import Example
from litestar.params import Body
from msgspec import Meta

from api.edge.identity import needs
from api.http.bodies import StrictBody
from api.http.problems import documented
from api.quoting import look_up, quoted
from api.services import Services
from shared.access.keys import LiveKey
from shared.errors import OfferRefused, PricingError
from shared.offers import revocations
from shared.offers.keys import LONGEST_TOKEN
from shared.pricing.answer import NotQuoted, Quote
from shared.pricing.currencies import CurrencyCode
from shared.pricing.offer import Offer
from shared.pricing.product import ProductId
from shared.telemetry.metrics import OFFERS
from shared.wire import instants
from shared.wire.fields import AT

log = structlog.get_logger(__name__)


class OfferToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An offer, as a price query with `offer_s` returned it."""

    token: Annotated[
        str, Meta(min_length=1, max_length=LONGEST_TOKEN, description="The token", examples=["eyJhbGciOiJFZERTQSIs…"])
    ]


class VerifiedOffer(msgspec.Struct, frozen=True):
    """An offer that holds. Amounts are for the whole quantity."""

    product_id: ProductId
    quantity: Annotated[int | float, Meta(description="The quantity", examples=[12])]
    currency: CurrencyCode
    guaranteed: Annotated[Decimal, Meta(description="The guaranteed total", examples=["540.48"])]
    current: Annotated[
        Decimal | None,
        Meta(description="The total of the same query now; null: it has no price now", examples=["561.00"]),
    ]
    payable: Annotated[Decimal, Meta(description="The lower of the two", examples=["540.48"])]
    expires_at: Annotated[
        datetime, Meta(tz=True, description="The end of the offer", examples=["2026-03-01T12:15:00Z"])
    ]


class PublicKeys(msgspec.Struct, frozen=True):
    """The public keys of offers, as in RFC 7517."""

    keys: Annotated[
        list[dict[str, str]],
        Meta(
            description="JWKs",
            examples=[[{"kty": "OKP", "crv": "Ed25519", "x": "…", "kid": "Rk3Zc0aB", "use": "sig", "alg": "EdDSA"}]],
        ),
    ]
    revoked_before: Annotated[
        datetime | None, Meta(description="Offers that were made before it are revoked; null: none", examples=[AT])
    ]


class OfferRevocation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A person's decision to take back offers."""

    reason: Annotated[
        str, Meta(min_length=1, max_length=500, description="The reason", examples=["a wrong price list"])
    ]
    before: Annotated[
        Annotated[datetime, Meta(tz=True)] | None,
        Meta(description="Revoke the offers that were made before it; null: now", examples=[AT]),
    ] = None

    def __post_init__(self) -> None:
        instants.check("before", self.before)


class OfferRevoked(msgspec.Struct, frozen=True):
    """The revocation in force."""

    revoked_before: Annotated[datetime, Meta(description="Offers made before it are revoked", examples=[AT])]


@post(
    "/api/v1/offers/verify",
    status_code=200,
    dto=StrictBody[OfferToken],
    return_dto=None,
    operation_id="verifyOffer",
    responses=documented(422, 503),
    summary="Whether an offer holds, and what is payable",
    description="An offer that does not hold is a 422 whose `type` names the reason: `urn:pricing:offer-expired`, "
    "`offer-revoked`, `offer-foreign` or `offer-forged`.",
)
async def verify_offer(
    services: Services,
    data: Annotated[OfferToken, Body(examples=[Example(value={"token": "eyJhbGciOiJFZERTQSIs…"})])],
) -> VerifiedOffer:
    """Verify an offer."""
    revoked_before = await services.revocations.current()
    since = revoked_before.timestamp() if revoked_before else 0.0
    try:
        offer = services.offer_keys.read(data.token, datetime.now(UTC).timestamp(), since)
    except OfferRefused as error:
        OFFERS.labels(type(error).__name__.removeprefix("Offer").lower()).inc()
        raise
    OFFERS.labels("held").inc()
    current = await _current(services, offer)
    return VerifiedOffer(
        product_id=offer.sub,
        quantity=offer.query.quantity,
        currency=offer.cur,
        guaranteed=offer.total,
        current=current.total if current is not None and current.currency == offer.cur else None,
        payable=offer.payable(current),
        expires_at=datetime.fromtimestamp(offer.exp, UTC),
    )


@get(
    "/.well-known/jwks.json",
    operation_id="getOfferKeys",
    responses=documented(503),
    summary="The public keys of offers",
    description="With them, anyone verifies an offer without this API.",
)
async def get_offer_keys(services: Services) -> PublicKeys:
    """Look up the public keys."""
    return PublicKeys(services.offer_keys.public(), await services.revocations.current())


@post(
    "/api/v1/offers/revoke",
    status_code=200,
    guards=[needs("operate")],
    security=[{"key": ["operate"]}],
    dto=StrictBody[OfferRevocation],
    return_dto=None,
    sync_to_thread=True,
    operation_id="revokeOffers",
    responses=documented(401, 403, 422, 503),
    summary="Take back offers",
    description="All that were made before an instant, in every process within two seconds. It cannot be undone.",
)
def revoke_offers(
    request: Request[LiveKey, Any, Any],
    services: Services,
    data: Annotated[OfferRevocation, Body(examples=[Example(value={"reason": "a wrong price list"})])],
) -> OfferRevoked:
    """Revoke offers."""
    with services.transaction() as conn:
        return OfferRevoked(revocations.revoke(conn, data.before, data.reason, request.user.name))


async def _current(services: Services, offer: Offer) -> Quote | None:
    """The quote of the offer's query now; None: there is none. The offer holds without it."""
    try:
        query = offer.query
        return quoted(query, await look_up(services, [query]))[0]
    except (PricingError, NotQuoted) as error:
        log.debug("no current price for an offer", product_id=offer.sub, error=str(error))
        return None


router = Router("/", route_handlers=[verify_offer, get_offer_keys, revoke_offers], tags=["Offers"])
