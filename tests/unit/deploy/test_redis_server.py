"""Which Redis server the native stack starts."""

import subprocess
from pathlib import Path

import pytest

from deploy.errors import StackError
from deploy.native import redis_server


def installed(folder: Path, name: str) -> str:
    server = folder / name
    server.write_text("#!/bin/sh\n")
    server.chmod(0o755)
    return str(server)


@pytest.mark.parametrize("name", ["redis-server", "valkey-server"])
def test_a_server_on_path_comes_first(tmp_path: Path, name: str) -> None:
    server = installed(tmp_path, name)
    assert redis_server.command({"PATH": str(tmp_path)}) == [server, "redis.conf"]


def test_without_one_the_wheels_valkey_runs(tmp_path: Path) -> None:
    server, _ = redis_server.command({"PATH": str(tmp_path)})
    done = subprocess.run([server, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Valkey server v=9")


def test_without_any_the_message_names_the_ways_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_server, "WHEEL", "no_such_wheel")
    with pytest.raises(StackError, match=r"install redis-server or valkey-server .* or set PRICING_REDIS_URL"):
        redis_server.command({"PATH": str(tmp_path)})
