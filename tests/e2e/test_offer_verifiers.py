"""The verifiers of docs/ find an offer good that is good, and name what is wrong with another."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from shared.offers.keys import OfferKeys
from tests.support.engine import Engine

DOCS = Path(__file__).parents[2] / "docs"
VERIFIERS = {"python": (sys.executable, DOCS / "verify_offer.py"), "node": ("node", DOCS / "verify-offer.mjs")}


@pytest.mark.parametrize("language", VERIFIERS)
def test_a_verifier_of_the_documents_tells_good_offers_from_others(engine: Engine, language: str) -> None:
    program = VERIFIERS[language]
    if shutil.which(program[0]) is None:
        pytest.skip(f"there is no {program[0]}")
    assert len(program[1].read_text().splitlines()) < 40

    def run(token: str) -> subprocess.CompletedProcess[Any]:
        command = [*map(str, program), str(engine.http.base_url).rstrip("/"), token]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    body = {"product_id": "P-100", "offer_s": 60}
    token = engine.http.post("/api/v1/price", json=body).json()["offer"]["token"]
    good = run(token)
    assert (good.returncode, good.stderr) == (0, "")
    assert "P-100" in good.stdout
    ours = OfferKeys(engine.settings.offer_keys)
    offer = ours.read(token, now_s=0, revoked_before_s=0)
    header, content, signature = token.split(".")
    wrong = {
        "expired": ours.sign(replace(offer, exp=1)),
        "foreign": OfferKeys("A" * 43).sign(offer),
        "forged or altered" if language == "node" else "InvalidSignature": f"{header}.{content[:-4]}AAAA.{signature}",
    }
    for reason, given in wrong.items():
        refused = run(given)
        assert refused.returncode != 0
        assert reason in refused.stderr
