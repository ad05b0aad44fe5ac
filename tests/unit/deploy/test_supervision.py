"""The configuration of supervisord."""

import subprocess
from configparser import RawConfigParser
from pathlib import Path

import pytest

from deploy import home as pricing_home
from deploy.native import supervision
from deploy.native.state import State


def test_a_program_is_killed_after_its_own_time_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def started(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", started)
    supervision.start(tmp_path, State(), {}, drain_s=600)
    written = RawConfigParser()
    written.read(tmp_path / pricing_home.CONFIG_FILE)
    for name in ("api", "worker", "listener"):
        assert written.getint(f"program:{name}", "stopwaitsecs") == 600 + supervision.KILL_AFTER_S
