"""`.env` of the stack in containers: keys of offers are made once, and rotated in place."""

from pathlib import Path

from deploy.compose import passwords
from deploy.offer_keys import OFFER_KEYS
from shared.offers.keys import OfferKeys


def test_a_rotation_puts_a_new_key_of_offers_before_the_kept_ones(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    assert not passwords.rotate_offer_keys(tmp_path)
    passwords.ensure(tmp_path, home)
    before = passwords.read(tmp_path)
    assert passwords.rotate_offer_keys(tmp_path)
    passwords.ensure(tmp_path, home)
    after = passwords.read(tmp_path)
    assert OfferKeys(after[OFFER_KEYS]).ids[1:] == OfferKeys(before[OFFER_KEYS]).ids
    assert after | {OFFER_KEYS: ""} == before | {OFFER_KEYS: ""}
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
