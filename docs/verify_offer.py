"""Verify an offer, needs cryptography: `python docs/verify_offer.py http://localhost:8000 TOKEN`."""

import base64
import json
import sys
import time
import urllib.request
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def verified(token: str, jwks: Any, now_s: float) -> Any:
    """The content of an offer that holds; else an error. Keep `jwks` for a minute."""
    header, content, signature = token.split(".")
    named = json.loads(decoded(header))
    key = {each["kid"]: each for each in jwks["keys"]}.get(named["kid"])
    if key is None or named != {"alg": "EdDSA", "kid": key["kid"]}:
        raise ValueError("foreign: none of the engine's keys signed this offer")
    public = Ed25519PublicKey.from_public_bytes(decoded(key["x"]))
    public.verify(decoded(signature), f"{header}.{content}".encode())  # raises InvalidSignature
    offer = json.loads(decoded(content))
    if offer["exp"] <= now_s:
        raise ValueError("expired")
    if jwks["revoked_before"] and offer["iat"] < datetime.fromisoformat(jwks["revoked_before"]).timestamp():
        raise ValueError("revoked")
    return offer


def decoded(part: str) -> bytes:
    """One part of a token."""
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


if __name__ == "__main__":
    with urllib.request.urlopen(f"{sys.argv[1]}/.well-known/jwks.json") as answer:  # noqa: S310 # the caller's address
        print(verified(sys.argv[2], json.load(answer), time.time()))  # noqa: T201 # a program for a terminal
