import json
import os
import shlex
import signal
import socket
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis
from click.testing import CliRunner

from deploy import home as pricing_home
from deploy.errors import StackError
from deploy.native import environment, processes, redis_server, stack, state
from deploy.native.__main__ import main
from deploy.native.supervisor_client import Program, Supervisor

SERVERS = ("postgres", "redis")
ENV = {name: value for name, value in os.environ.items() if not name.startswith(("PRICING_", "OTEL_"))}


def until(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def program(home: Path, name: str) -> Program:
    return Supervisor(state.load(home)).program(name)


def pids(home: Path) -> dict[str, int]:
    return {name: program(home, name).pid for name in SERVERS}


def redis_answers(home: Path) -> bool:
    try:
        with redis.Redis.from_url(environment.load(home)["PRICING_REDIS_URL"], protocol=2) as client:
            return bool(client.ping())
    except redis.ConnectionError:
        return False


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with a space in its path, below a folder that only its owner may read."""
    parent = tmp_path_factory.mktemp("native stack")
    parent.chmod(0o700)
    yield parent / "home"
    stack.down(parent / "home")


@pytest.fixture
def home(folder: Path) -> Path:
    """A home whose PostgreSQL and Redis run."""
    stack.up(folder, ENV, SERVERS)
    return folder


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        yield stranger.getsockname()[1]


@pytest.mark.long
def test_a_slow_server_is_waited_for_by_name(tmp_path: Path) -> None:
    """A Redis that starts after five seconds."""
    slow = tmp_path / "bin" / "redis-server"
    slow.parent.mkdir()
    slow.write_text(f'#!/bin/sh\nsleep 5\nexec {shlex.quote(redis_server.command(ENV)[0])} "$@"\n')
    slow.chmod(0o755)
    said: list[str] = []
    home = tmp_path / "home"
    try:
        stack.up(home, ENV | {"PATH": f"{slow.parent}:{ENV['PATH']}"}, SERVERS, said.append)
        assert redis_answers(home)
    finally:
        stack.down(home)
    [wait] = [line for line in said if line.startswith("waiting for redis, at most ")]
    assert "Connection refused" in wait
    assert said.index("redis starts") < said.index(wait) < said.index("redis is ready")


def test_up_again_leaves_alone_what_runs(home: Path) -> None:
    before = pids(home)
    values = environment.load(home)
    stack.up(home, ENV, SERVERS)
    assert pids(home) == before
    assert environment.load(home) == values


def test_postgres_serves_the_database_pricing_in_utf8(home: Path) -> None:
    with psycopg.connect(environment.load(home)["PRICING_DATABASE_URL"]) as connection:
        row = connection.execute("SELECT current_database(), current_user, getdatabaseencoding()").fetchone()
    assert row == ("pricing", "pricing", "UTF8")


def test_postgres_refuses_a_wrong_password(home: Path) -> None:
    own = state.load(home)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(own.database_url.replace(own.postgres_password, "wrong"))


def test_redis_answers_with_the_password_and_refuses_without(home: Path) -> None:
    assert redis_answers(home)
    with (
        redis.Redis.from_url(f"redis://127.0.0.1:{state.load(home).redis_port}", protocol=2) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()


def test_redis_evicts_only_keys_with_a_ttl_and_keeps_a_slow_subscriber(home: Path) -> None:
    with redis.Redis.from_url(state.load(home).redis_admin_url(0), protocol=2) as client:
        found = client.config_get("maxmemory*", "client-output-buffer-limit")
    assert (found["maxmemory-policy"], found["maxmemory"]) == ("volatile-lru", str(2**30))
    # Redis' default ended a listener that was 32 MB behind.
    assert f"pubsub {256 * 2**20} {64 * 2**20} 60" in found["client-output-buffer-limit"]


def test_home_and_secrets_are_closed_and_the_parent_is_left_alone(folder: Path) -> None:
    folder.parent.chmod(0o710)
    stack.up(folder, ENV, SERVERS)
    assert mode(folder.parent) == 0o710
    assert mode(folder) == 0o700
    secrets = ("stack.env", "native.json", "supervisord.conf", "redis/redis.conf")
    assert {name: mode(folder / name) for name in secrets} == dict.fromkeys(secrets, 0o600)
    assert {path.name for path in folder.parent.iterdir()} == {folder.name}


def test_no_password_is_seen_in_a_command_line(home: Path) -> None:
    own = state.load(home)
    lines = " ".join(" ".join(process.cmdline()) for process in processes.leftovers(home))
    assert lines
    assert not any(word in lines for word in (own.postgres_password, own.redis_password, own.supervisor_password))


def test_addresses_handed_back_to_up_are_still_our_own_servers(home: Path) -> None:
    before = pids(home)
    stack.up(home, ENV | environment.load(home), SERVERS)
    assert pids(home) == before
    assert set(SERVERS) <= set(state.load(home).programs)


def test_a_killed_redis_comes_back(home: Path) -> None:
    before = pids(home)
    os.kill(before["redis"], signal.SIGKILL)
    until(lambda: program(home, "redis").pid not in {0, before["redis"]} and redis_answers(home))
    assert pids(home)["postgres"] == before["postgres"]


def test_up_clears_what_a_killed_supervisor_left(home: Path) -> None:
    supervisor = Supervisor(state.load(home)).pid()
    assert supervisor is not None
    before = pids(home)
    os.kill(supervisor, signal.SIGKILL)
    processes.wait_until_gone(supervisor)
    assert "outlived" in CliRunner().invoke(main, ["status"], env={"PRICING_HOME": str(home)}).output

    stack.up(home, ENV, SERVERS)
    assert not any(psutil.pid_exists(pid) for pid in before.values())
    assert redis_answers(home)


def test_a_stranger_with_the_same_home_in_its_environment_is_left_alone(home: Path) -> None:
    with psutil.Popen(["sleep", "60"], env=ENV | {"PRICING_HOME": str(home)}) as stranger:
        assert stranger.pid not in {process.pid for process in processes.leftovers(home)}
        stranger.kill()


def test_a_taken_port_is_refused_before_anything_starts(tmp_path: Path, taken_port: int) -> None:
    with pytest.raises(StackError, match=rf"Port {taken_port} is taken by .*set PRICING_PORT"):
        stack.up(tmp_path / "home", ENV | {"PRICING_PORT": str(taken_port)})
    assert not processes.leftovers(tmp_path / "home")


def test_a_full_disk_is_refused_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that really is full takes root to make one."""
    monkeypatch.setattr(pricing_home, "NEEDED_MB", 10**9)
    with pytest.raises(StackError, match=r"MB left, and a start needs .*: free some space, or set PRICING_HOME"):
        stack.up(tmp_path / "home", ENV, ["redis"])
    assert not processes.leftovers(tmp_path / "home")


def test_what_cannot_be_ready_is_stopped_again_and_its_log_shown(tmp_path: Path) -> None:
    server = tmp_path / "redis-server"
    server.write_text("#!/bin/sh\necho no luck today\nexit 1\n")
    server.chmod(0o755)
    with pytest.raises(StackError, match="no luck today"):
        stack.up(tmp_path / "home", ENV | {"PATH": f"{tmp_path}:{ENV['PATH']}"}, ["redis"])
    assert not processes.leftovers(tmp_path / "home")


def test_a_wrong_setting_is_named_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="PRICING_PORT"):
        stack.up(tmp_path / "home", ENV | {"PRICING_PORT": "many"})
    assert not (tmp_path / "home" / "stack.env").exists()


def test_a_server_of_the_callers_is_used_and_ours_not_started(tmp_path: Path) -> None:
    url = "redis://cache.example:6379/3"
    try:
        now = stack.up(tmp_path / "home", ENV | {"PRICING_REDIS_URL": url}, ["redis"])
        assert "redis" not in now.state.programs
        assert now.values["PRICING_REDIS_URL"] == url
        assert not processes.leftovers(tmp_path / "home")
    finally:
        stack.down(tmp_path / "home")


def test_a_folder_with_other_things_is_no_home(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "letter.txt").write_text("hello")
    with pytest.raises(StackError, match="a folder of its own"):
        stack.up(tmp_path, ENV, ["redis"])
    assert mode(tmp_path) == 0o755


def test_down_leaves_no_process_and_keeps_the_data(tmp_path: Path) -> None:
    home = tmp_path / "home"
    try:
        stack.up(home, ENV, SERVERS)
        url = environment.load(home)["PRICING_DATABASE_URL"]
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
        assert stack.down(home)
        assert not processes.leftovers(home)
        assert not stack.down(home)

        stack.up(home, ENV, ["postgres"])
        with psycopg.connect(environment.load(home)["PRICING_DATABASE_URL"]) as connection:
            assert connection.execute("SELECT one FROM kept").fetchone() == (1,)
    finally:
        stack.down(home)


def test_status_fails_until_everything_runs(home: Path) -> None:
    result = CliRunner().invoke(main, ["status"], env={"PRICING_HOME": str(home)})
    assert result.exit_code == 1
    assert "postgres" in result.output


def test_status_of_nothing_is_a_sentence(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["status"], env={"PRICING_HOME": str(tmp_path / "home")})
    assert (result.exit_code, result.output) == (1, "Nothing runs.\n")


def test_logs_of_an_unknown_service_name_the_known_ones(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["logs", "nope"], env={"PRICING_HOME": str(tmp_path)})
    assert result.exit_code == 2
    assert "postgres, redis" in result.output


def test_the_state_is_kept_between_starts(home: Path) -> None:
    kept = json.loads((home / "native.json").read_text())
    stack.down(home)
    stack.up(home, ENV, SERVERS)
    assert json.loads((home / "native.json").read_text()) == kept
