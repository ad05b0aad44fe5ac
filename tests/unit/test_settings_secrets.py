"""Secrets in settings: never shown, and refused where they cannot be."""

from pathlib import Path

import msgspec
import pytest
from rich.pretty import pretty_repr

from shared import settings
from shared.settings import InvalidSettings, Settings

KEY = "n8Zt4Wq1Lr7Vb2Xc9Kd3Mf6Hs5Gj0PyQa"
SECRET = "correct-horse"
OFFER_KEY = "A" * 43


def load(home: Path, **variables: str) -> Settings:
    return settings.load({"PRICING_HOME": str(home), **variables})


def test_no_secret_is_shown(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        PRICING_DATABASE_URL=f"postgresql://u:{SECRET}@h/d?sslpassword={SECRET}",
        PRICING_REDIS_URL=f"redis://:{SECRET}@one?password={SECRET}",
        PRICING_CACHE_URL=f"redis://:{SECRET}@two",
        PRICING_FEED_URL=f"https://{SECRET}@three/?api_key={SECRET}&a=b@c",
        PRICING_FEED_KEY=f"feed-{SECRET}",
        PRICING_ADMIN_KEY=KEY,
        PRICING_OFFER_KEYS=OFFER_KEY,
    )
    pairs = msgspec.structs.replace(found, database_url=f"host=h password='{SECRET} x'")
    unread = msgspec.structs.replace(found, database_url=f"nonsense {SECRET}")
    for one in (found, pairs, unread):
        for text in (repr(one), f"{[one]}", pretty_repr(one)):
            assert SECRET not in text
            assert KEY not in text
            assert OFFER_KEY not in text
    assert found.shown()["PRICING_DATABASE_URL"] == "postgresql://***@h/d?sslpassword=***"
    assert pairs.shown()["PRICING_DATABASE_URL"] == "password=*** host=h"


@pytest.mark.parametrize("keys", ["short", f"{OFFER_KEY},{OFFER_KEY}", f"{OFFER_KEY},", "/" * 43, "A" * 42 + "B"])
def test_keys_of_offers_that_cannot_be_are_refused(tmp_path: Path, keys: str) -> None:
    with pytest.raises(InvalidSettings, match="PRICING_OFFER_KEYS"):
        load(tmp_path, PRICING_OFFER_KEYS=keys)
