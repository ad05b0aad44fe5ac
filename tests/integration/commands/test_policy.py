"""`just policy`: what it takes, and the sentence about what it does not take."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from shared.commands.rulebook import policy
from shared.settings import Settings


def active(settings: Settings) -> Any:
    return msgspec.json.decode(CliRunner().invoke(policy, [], obj=settings).stdout)


def published(settings: Settings, folder: Path, document: Any) -> Result:
    file = folder / "policy.json"
    file.write_bytes(msgspec.json.encode(document))
    return CliRunner().invoke(policy, [str(file)], obj=settings)


@pytest.mark.parametrize("rate", ["0.1_0", " 0.1", "1e-1", "٠.١"])
def test_an_amount_is_digits_and_a_point(settings: Settings, tmp_path: Path, rate: str) -> None:
    before = active(settings)
    done = published(settings, tmp_path, before | {"membership_rate": rate})
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "membership_rate" in done.stderr
    assert active(settings) == before


def test_the_name_of_a_strategy_that_cannot_be_stored_is_refused(settings: Settings, tmp_path: Path) -> None:
    before = active(settings)
    strategies = before["strategies"]
    renamed = strategies | {"a\0b": next(iter(strategies.values()))}
    done = published(settings, tmp_path, before | {"strategies": renamed})
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1), done.output
    assert active(settings) == before
