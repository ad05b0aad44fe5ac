"""Keys of offers: what they signed is told from everything else, at the same cost."""

import base64
import json
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from joserfc import jws
from msgspec.structs import replace

from deploy.offer_keys import new_offer_key, rotated
from shared.errors import InvalidInput, OfferExpired, OfferForeign, OfferForged, OfferRevoked, PricingError
from shared.offers.keys import LONGEST_TOKEN, OfferKeys
from shared.pricing.offer import Offer

KEY, OTHER = new_offer_key(), new_offer_key()
KEYS = OfferKeys(KEY)
OFFER = Offer(
    sub="P-100",
    iat=1_795_791_234.123,
    exp=1_795_792_134.123,
    price=Decimal("45.04"),
    total=Decimal("540.48"),
    cur="USD",
    v=(10_000_000_007, 3),
    q={"user_location": "NY", "is_prime_member": True, "quantity": 12},
)
TOKEN = KEYS.sign(OFFER)
HEADER, CONTENT, SIGNATURE = TOKEN.split(".")


def packed_bytes(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def packed(value: Any) -> str:
    return packed_bytes(json.dumps(value).encode())


def unpacked(text: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def read(token: str, keys: OfferKeys = KEYS, now_s: float = OFFER.iat + 1, revoked_before_s: float = 0) -> Offer:
    return keys.read(token, now_s, revoked_before_s)


def twin(signature: str) -> str:
    """The other signature that fits where a verifier does not check the range of its number (RFC 8032, 5.1.7)."""
    order = 2**252 + 27742317777372353535851937790883648493
    made = base64.urlsafe_b64decode(signature + "==")
    scalar = int.from_bytes(made[32:], "little") + order
    return packed_bytes(made[:32] + scalar.to_bytes(32, "little"))


ours = unpacked(HEADER)
changed = unpacked(CONTENT) | {"total": "0.01"}
WRONG: dict[str, tuple[str, type[PricingError]]] = {
    "another price": (f"{HEADER}.{packed(changed)}.{SIGNATURE}", OfferForged),
    "another signature": (f"{HEADER}.{CONTENT}.{SIGNATURE[:-4]}AAAA", OfferForged),
    "a part of the signature": (f"{HEADER}.{CONTENT}.{SIGNATURE[:20]}", OfferForged),
    "no signature": (f"{HEADER}.{CONTENT}.", OfferForged),
    "alg none": (f"{packed(ours | {'alg': 'none'})}.{CONTENT}.", OfferForged),
    "alg HS256": (f"{packed(ours | {'alg': 'HS256'})}.{CONTENT}.{SIGNATURE}", OfferForged),
    "a header more": (f"{packed(ours | {'crit': ['exp'], 'exp': 1})}.{CONTENT}.{SIGNATURE}", OfferForged),
    "a key in the header": (f"{packed(ours | {'jwk': KEYS.public()[0]})}.{CONTENT}.{SIGNATURE}", OfferForged),
    "the signature's twin": (f"{HEADER}.{CONTENT}.{twin(SIGNATURE)}", OfferForged),
    "a signature of zeros": (f"{HEADER}.{CONTENT}.{packed_bytes(bytes(64))}", OfferForged),
    "content that is not encoded": (
        f"{packed(ours | {'b64': False, 'crit': ['b64']})}.{CONTENT}.{SIGNATURE}",
        OfferForged,
    ),
    "another's name": (f"{packed(ours | {'kid': OfferKeys(OTHER).ids[0]})}.{CONTENT}.{SIGNATURE}", OfferForeign),
    "another's key": (OfferKeys(OTHER).sign(OFFER), OfferForeign),
    "another's key under our name": (
        f"{HEADER}.{CONTENT}.{OfferKeys(OTHER).sign(OFFER).rpartition('.')[2]}",
        OfferForged,
    ),
    "no token": ("x", OfferForged),
    "letters": ("ä.ö.ü", OfferForged),
    "lists": (f"{packed([1])}.{packed([])}.{SIGNATURE}", OfferForged),
    "a key that is no name": (f"{packed({'alg': 'EdDSA', 'kid': [1]})}.{CONTENT}.{SIGNATURE}", OfferForged),
    "expired": (KEYS.sign(replace(OFFER, exp=OFFER.iat + 0.5)), OfferExpired),
    "revoked": (KEYS.sign(replace(OFFER, iat=OFFER.iat - 60)), OfferRevoked),
}


def test_an_offer_is_read_as_it_was_signed() -> None:
    assert read(TOKEN) == OFFER


def test_an_offer_for_a_simple_query_is_short() -> None:
    assert len(TOKEN) <= 400


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_offer_is_named_as_what_it_is(wrong: str) -> None:
    token, kind = WRONG[wrong]
    with pytest.raises(InvalidInput) as raised:
        read(token, revoked_before_s=OFFER.iat - 1)
    assert (type(raised.value), raised.value.path) == (kind, "$.token")


@pytest.mark.parametrize("name", ["right", *WRONG])
def test_every_token_costs_one_verification(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    done: list[str] = []
    validate: Callable[..., bool] = jws.validate_compact

    def counted(*arguments: Any, **options: Any) -> bool:
        done.append(name)
        return validate(*arguments, **options)

    monkeypatch.setattr(jws, "validate_compact", counted)
    with suppress(InvalidInput):
        read(WRONG[name][0] if name in WRONG else TOKEN)
    assert done == [name]


def test_an_offer_ends_at_its_instant() -> None:
    assert read(TOKEN, now_s=OFFER.exp - 0.001) == OFFER
    with pytest.raises(OfferExpired):
        read(TOKEN, now_s=OFFER.exp)


def test_only_offers_made_before_the_instant_are_revoked() -> None:
    assert read(TOKEN, revoked_before_s=OFFER.iat) == OFFER
    with pytest.raises(OfferRevoked):
        read(TOKEN, revoked_before_s=OFFER.iat + 0.001)


def test_a_rotation_keeps_open_offers_and_signs_with_the_new_key() -> None:
    after = OfferKeys(rotated(KEY))
    assert read(TOKEN, after) == OFFER
    newer = after.sign(OFFER)
    assert read(newer, after) == OFFER
    with pytest.raises(OfferForeign):
        read(newer)
    assert after.ids[1:] == KEYS.ids


def test_a_rotation_drops_the_oldest_of_many_keys() -> None:
    keys = KEY
    for _ in range(20):
        keys = rotated(keys)
    assert len(OfferKeys(keys).ids) == 10


def test_the_public_keys_verify_an_offer_without_the_engine() -> None:
    (key,) = OfferKeys(KEY).public()
    assert {name: key[name] for name in ("kty", "crv", "use", "alg", "kid")} == {
        "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": ours["kid"],
    }  # fmt: skip
    public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"] + "="))
    public.verify(base64.urlsafe_b64decode(SIGNATURE + "=="), f"{HEADER}.{CONTENT}".encode())
    assert "d" not in key


def test_without_a_key_no_offer_is_made_and_none_is_ours() -> None:
    with pytest.raises(InvalidInput, match="PRICING_OFFER_KEYS"):
        OfferKeys("").sign(OFFER)
    with pytest.raises(OfferForeign):
        read(TOKEN, OfferKeys(""))
    assert OfferKeys("").public() == []


def test_a_query_that_is_too_long_for_a_token_is_refused() -> None:
    with pytest.raises(InvalidInput, match="too long"):
        KEYS.sign(replace(OFFER, q={"attributes": {"a": ["x" * 64] * (LONGEST_TOKEN // 64)}}))
