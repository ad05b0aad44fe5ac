"""`just up docker`: what is in its way is named before anything starts; where an engine answers, it really starts."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.docker import compose
from deploy.native import state

ROOT = Path(__file__).resolve().parents[2]
ENGINE = compose.engine_answers()


def deploy(*arguments: str, cwd: Path = ROOT, **environ: object) -> subprocess.CompletedProcess[str]:
    """Run `just`'s own command line."""
    return subprocess.run(
        [sys.executable, "-m", "deploy", *arguments],
        cwd=cwd,
        env=os.environ | {name: str(value) for name, value in environ.items()},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )


@pytest.fixture
def broken_engine(tmp_path: Path) -> Iterator[str]:
    """An address where somebody listens who is no engine: it takes connections and never says a word."""
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        yield f"unix://{path}"


@pytest.fixture
def docker(tmp_path: Path) -> str:
    """A PATH whose docker answers as one does that has an engine with no containers."""
    program = tmp_path / "docker"
    program.write_text("#!/bin/sh\n[ $1 = version ] && echo 28.0\nexit 0\n")
    program.chmod(0o755)
    return f"{tmp_path}:{os.environ['PATH']}"


@pytest.mark.skipif(not shutil.which("docker"), reason="there is no docker command here")
def test_an_engine_that_says_nothing_is_named_and_a_way_without_it(broken_engine: str, tmp_path: Path) -> None:
    done = deploy("up", "docker", DOCKER_HOST=broken_engine, PRICING_HOME=tmp_path / "home")
    assert done.returncode == 1
    assert "No Docker engine answers" in done.stderr
    assert "just up native" in done.stderr


def test_a_taken_port_is_named_with_its_variable_before_anything_starts(docker: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = deploy("up", "docker", PATH=docker, PRICING_PORT=port, PRICING_HOME=tmp_path / "home")
    assert done.returncode == 1
    assert f"Port {port} is taken by" in done.stderr
    assert "set PRICING_PORT to a free port" in done.stderr


def test_an_engine_that_goes_away_meanwhile_is_what_is_named(tmp_path: Path) -> None:
    """And not the last of Compose's own lines, which are about a socket."""
    program, seen = tmp_path / "docker", tmp_path / "seen"
    lines = [
        "#!/bin/sh",
        f"if [ $1 = version ]; then [ -e {seen} ] && {{ echo 'is the daemon running?' >&2; exit 1; }}; echo 28.0; fi",
        f"if [ $1 = compose ] && [ $2 = up ]; then touch {seen}; exit 1; fi",
        "exit 0",
    ]
    program.write_text("\n".join(lines))
    program.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PRICING_PORT": state.free_port()}
    folder = _clone(tmp_path)
    done = deploy("up", "docker", cwd=folder, PRICING_HOME=folder / ".pricing", **environ)
    assert done.returncode == 1
    assert "The Docker engine went away (is the daemon running?)" in done.stderr


def _clone(tmp_path: Path) -> Path:
    left_out = shutil.ignore_patterns(".*_cache", ".git", ".venv", ".env", ".pricing", ".hypothesis", "__pycache__")
    return shutil.copytree(ROOT, tmp_path / "clone", ignore=left_out)


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Path]:
    """A clone with containers, volumes and passwords of its own, all gone afterwards."""
    folder = _clone(tmp_path)
    yield folder
    purge = "from deploy.docker import compose; compose.run('down', '--volumes', '--rmi', 'local')"
    subprocess.run([sys.executable, "-c", purge], cwd=folder, check=True)


@pytest.mark.skipif(not ENGINE, reason="no Docker engine answers here")
def test_the_stack_starts_in_containers_keeps_its_data_and_goes(clone: Path) -> None:
    environ = {"PRICING_HOME": clone / ".pricing", "PRICING_PORT": state.free_port()}
    for arguments in (("up", "docker", "worker=3", "listener=2"), ("status",), ("down",), ("up", "docker"), ("down",)):
        done = deploy(*arguments, cwd=clone, **environ)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
