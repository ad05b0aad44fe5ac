"""The keys of offers: `PRICING_OFFER_KEYS`, made at the first start, the newest first."""

import secrets

OFFER_KEYS = "PRICING_OFFER_KEYS"
MOST_KEYS = 10


def new_offer_key() -> str:
    """A key that signs offers: 32 random bytes as base64url."""
    return secrets.token_urlsafe(32)


def rotated(keys: str) -> str:
    """The keys with a new one before them; the oldest of many is dropped."""
    return ",".join([new_offer_key(), *keys.split(",")][:MOST_KEYS])
