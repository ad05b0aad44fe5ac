"""The keys of offers: a compact JWS with Ed25519 (RFC 7515, RFC 8037), signed by the first key, verified by all."""

import base64
from collections.abc import Mapping
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from shared.errors import InvalidInput, OfferExpired, OfferForeign, OfferForged, OfferRevoked
from shared.pricing.offer import Offer

ALGORITHM = "EdDSA"
# An offer for a simple query has a third of a kilobyte. One for many attributes may be longer.
LONGEST_TOKEN = 8_192
KEY_ID_CHARACTERS = 8

_offer = msgspec.json.Decoder(Offer)


class _Registry(jws.JWSRegistry):
    """Allows Ed25519 alone, under the name that most libraries read.

    RFC 9864 renames the algorithm; both names stand for the same signatures.
    """

    def get_alg(self, name: str) -> Any:  # the library does not export the type
        return super().get_alg("Ed25519" if name == ALGORITHM else name)


_registry = _Registry(algorithms=["Ed25519"])


class OfferKeys:
    """Signs offers, and tells offers that it signed from others.

    Attributes:
        ids: The names of the keys, as in the headers of tokens; the first key signs.
    """

    def __init__(self, text: str) -> None:
        """The keys of `PRICING_OFFER_KEYS`, which was checked; empty: no offer is made, none is ours."""
        keys = [_imported(part.strip()) for part in text.split(",") if part.strip()]
        self._keys: Mapping[str, OKPKey] = {_id_of(key): key for key in keys}
        self.ids = tuple(self._keys)
        self._nobody = OKPKey.import_key(Ed25519PrivateKey.generate())
        header = {"alg": ALGORITHM, "kid": ""}
        nobodys = jws.serialize_compact(header, b"{}", self._nobody, registry=_registry)
        self._nobodys = jws.extract_compact(nobodys.encode())

    def sign(self, offer: Offer) -> str:
        """The token of an offer.

        Raises:
            InvalidInput: there is no key, or the query is too long for a token.
        """
        if not self.ids:
            raise InvalidInput("this engine makes no offers: `PRICING_OFFER_KEYS` is not set", "$.offer_s")
        header = {"alg": ALGORITHM, "kid": self.ids[0]}
        token = jws.serialize_compact(header, msgspec.json.encode(offer), self._keys[self.ids[0]], registry=_registry)
        if len(token) > LONGEST_TOKEN:
            raise InvalidInput("the query is too long for an offer; leave attributes out", "$.offer_s")
        return token

    def read(self, token: str, now_s: float, revoked_before_s: float) -> Offer:
        """The offer of a token that one of these keys signed. Every token costs one verification, also a wrong one.

        Args:
            token: A compact JWS.
            now_s: The time, in seconds since 1970.
            revoked_before_s: Offers made before it are revoked.

        Raises:
            OfferForeign: another engine's key signed it, or one that is no longer ours.
            OfferForged: the signature does not fit the content, or the header is not one of ours.
            OfferRevoked: it was revoked.
            OfferExpired: its time is over.
        """
        key_id, found = "", self._nobodys
        try:
            given = jws.extract_compact(token.encode())
            named = given.headers().get("kid")
            key_id = named if isinstance(named, str) else ""
            if given.headers() == {"alg": ALGORITHM, "kid": key_id}:
                found = given
        except (JoseError, ValueError):
            pass
        fits = jws.validate_compact(found, self._keys.get(key_id, self._nobody), registry=_registry)
        if key_id and key_id not in self._keys:
            raise OfferForeign("foreign: none of this engine's keys signed the offer", "$.token")
        if not fits or found is self._nobodys:
            raise OfferForged("forged or altered: the signature does not fit the offer's content", "$.token")
        offer = _offer.decode(found.payload)
        if offer.iat < revoked_before_s:
            raise OfferRevoked("revoked: the shop took back the offers of that time", "$.token")
        if offer.exp <= now_s:
            raise OfferExpired("expired: the time of the offer is over", "$.token")
        return offer

    def public(self) -> list[dict[str, str]]:
        """The public keys as JWKs (RFC 7517)."""
        return [{**_public(key), "kid": key_id, "use": "sig", "alg": ALGORITHM} for key_id, key in self._keys.items()]


def _imported(text: str) -> OKPKey:
    seed = base64.urlsafe_b64decode(f"{text}=")
    return OKPKey.import_key(Ed25519PrivateKey.from_private_bytes(seed))


def _id_of(key: OKPKey) -> str:
    """The beginning of the key's thumbprint (RFC 7638)."""
    return key.thumbprint()[:KEY_ID_CHARACTERS]


def _public(key: OKPKey) -> dict[str, str]:
    found = key.as_dict(private=False)
    return {name: str(found[name]) for name in ("kty", "crv", "x")}
