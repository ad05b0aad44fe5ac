"""`just settings`: what is in force, where it came from, and no secret."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from shared.commands.settings import settings_command
from shared.settings import STACK_FILE, load


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / STACK_FILE).write_text("PRICING_PORT=9001\nPRICING_REDIS_URL=redis://:hidden-word@h/0\n")
    return tmp_path


def shown(home: Path, *arguments: str) -> Result:
    env = {"PRICING_HOME": str(home), "PRICING_LOG_LEVEL": "INFO", "PRICING_FEED_URL": "https://u:hidden-word@feed"}
    return CliRunner().invoke(settings_command, arguments, obj=load(env), env=env)


def test_each_setting_is_shown_with_its_origin(home: Path) -> None:
    found = {one["name"]: (one["value"], one["source"]) for one in json.loads(shown(home, "--json").stdout)}
    assert found["PRICING_PORT"] == (9001, "stack.env")
    assert found["PRICING_LOG_LEVEL"] == ("info", "environment")
    assert found["PRICING_WORKER_THREADS"] == (4, "default")


def test_people_see_a_line_a_setting_and_no_secret(home: Path) -> None:
    done = shown(home)
    assert done.exit_code == 0
    lines = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    assert lines["PRICING_REDIS_URL"] == ["stack.env", "redis://***@h/0"]
    assert lines["PRICING_FEED_URL"] == ["environment", "https://***@feed"]
    assert "hidden-word" not in done.stdout + shown(home, "--json").stdout
