"""`just up docker` in bad situations: one sentence says which and what to do, and nothing is left half started."""

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.deploying import copied, deploy, deploying, free_ports
from tests.support.prerequisites import need
from tests.support.waiting import eventually


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
    return _path_with_docker(tmp_path)


@pytest.fixture
def docker_command() -> None:
    """A docker command of the machine's, whatever its engine."""
    need("docker", shutil.which("docker"), "install its command")


def _path_with_docker(folder: Path, *cases: str) -> str:
    """A PATH whose docker has an engine and Compose, does what the cases say, and notes what it was asked."""
    program = folder / "docker"
    lines = ["#!/bin/sh", f'echo "$*" >> {folder}/asked', *cases, "[ $1 = version ] && echo 28.0", "exit 0"]
    program.write_text("\n".join(lines))
    program.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def _answering(listening: socket.socket, answer: bytes) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)


@pytest.mark.usefixtures("docker_command")
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"\x00\xffhello\r\n\r\n", "malformed HTTP response"),
        (
            b'HTTP/1.1 500 Ill\r\nConnection: close\r\nContent-Type: application/json\r\n\r\n{"message": "it is ill"}',
            "it is ill",
        ),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}", "not a Docker engine's"),
    ],
)
def test_an_engine_that_answers_nonsense_is_none(answer: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        threading.Thread(target=_answering, args=(listening, answer), daemon=True).start()
        done = deploy("up", "docker", DOCKER_HOST=f"unix://{path}", PRICING_HOME=tmp_path / "home")
        listening.shutdown(socket.SHUT_RDWR)
    assert done.returncode == 1
    assert "The Docker engine cannot be used" in done.stderr
    assert said in done.stderr
    assert "just up native" in done.stderr


def test_a_docker_that_is_no_program_is_named(tmp_path: Path) -> None:
    program = tmp_path / "docker"
    program.write_bytes(b"\x7fELF, and no more")
    program.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = deploy("up", "docker", PATH=path, PRICING_HOME=tmp_path / "home")
    assert done.returncode == 1
    assert f"{program}: Exec format error" in done.stderr


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("write /var/lib/docker/tmp/x: no space left on device", "Docker's disk is full: free some space"),
        ("Bind for 127.0.0.1:16686 failed: port is already allocated", "Another container has that port"),
        ("listen tcp4 127.0.0.1:8000: bind: address already in use", "Another program has that port"),
        ("Pulling redis (redis:8-alpine)...\nGet registry: no such host", "redis:8-alpine)... Get registry: no such"),
        ("something new", "something new. `just up native` needs no Docker"),
    ],
)
def test_what_compose_said_last_is_in_the_error_and_nothing_is_left_half_started(
    said: str, advice: str, tmp_path: Path
) -> None:
    case = f"if [ $1 = compose ] && [ $2 = up ]; then printf '%s\\n' '{said}' >&2; exit 1; fi"
    folder = copied(tmp_path)
    home = folder / ".pricing"
    done = deploy("up", "docker", cwd=folder, PATH=_path_with_docker(tmp_path, case), PRICING_HOME=home, **free_ports())
    assert done.returncode == 1
    error = done.stderr[done.stderr.index("Error: ") :]
    assert error.count("\n") == 1
    assert said.splitlines()[-1] in error
    assert advice in error
    asked = (tmp_path / "asked").read_text().splitlines()
    assert any(line.startswith("compose down") for line in asked[asked.index(_first(asked, "compose up")) :])


def _first(lines: list[str], start: str) -> str:
    return next(line for line in lines if line.startswith(start))


def test_jaeger_keeps_its_spans_in_memory_where_it_refuses_the_configuration(tmp_path: Path) -> None:
    cases = (
        "if [ $1 = compose ] && [ $2 = run ]; then exit 1; fi",
        f'[ "$1 $2" = "compose up" ] && {{ echo "[${{JAEGER_ARGUMENTS-unset}}]" > {tmp_path}/jaeger; exit 1; }}',
    )
    folder = copied(tmp_path)
    path = _path_with_docker(tmp_path, *cases)
    deploy("up", "docker", cwd=folder, PATH=path, PRICING_HOME=folder / ".pricing", **free_ports())
    assert (tmp_path / "jaeger").read_text() == "[]\n"


def test_a_compose_that_outlives_a_killed_start_is_waited_for(tmp_path: Path) -> None:
    case = (
        f"if [ $1 = compose ] && [ $2 = up ]; then while [ ! -e {tmp_path}/end ]; do sleep 0.05; done; "
        f"echo ended >> {tmp_path}/asked; exit 1; fi"
    )
    folder, ports = copied(tmp_path), free_ports()
    environ = {"PATH": _path_with_docker(tmp_path, case), "PRICING_HOME": folder / ".pricing", **ports}
    asked = tmp_path / "asked"
    with deploying("up", "docker", cwd=folder, **environ) as first:
        eventually(lambda: asked.exists() and "compose up" in asked.read_text(), "the first one is at work")
        first.kill()
    with deploying("up", "docker", cwd=folder, **environ) as second:
        eventually(lambda: "waiting for another" in _line(second), "the second one waits")
        assert asked.read_text().count("compose up") == 1
        (tmp_path / "end").touch()
        assert second.wait(60) == 1
    steps = [line.partition(" --")[0] for line in asked.read_text().splitlines()]
    assert [step for step in steps if step in ("compose up", "ended")] == ["compose up", "ended"] * 2


def test_passwords_that_cannot_be_written_are_named(docker: str, tmp_path: Path) -> None:
    folder = copied(tmp_path)
    (folder / ".env").mkdir()
    done = deploy("up", "docker", cwd=folder, PATH=docker, PRICING_HOME=folder / ".pricing", **free_ports())
    assert done.returncode == 1
    assert f"{folder / '.env'} cannot be written: Is a directory" in done.stderr


def test_a_wrong_setting_is_named_before_anything_starts(docker: str, tmp_path: Path) -> None:
    done = deploy("up", "docker", PATH=docker, PRICING_WORKER_THREADS="many", PRICING_HOME=tmp_path / "home")
    assert done.returncode == 1
    assert "PRICING_WORKER_THREADS: " in done.stderr


def test_compose_takes_the_file_with_all_of_its_profiles(tmp_path: Path) -> None:
    need("docker", shutil.which("docker-compose") or shutil.which("docker"), "install Docker with its Compose plugin")
    folder = copied(tmp_path)
    code = "from deploy.compose import command; print(command.run('config', capture=True))"
    environ = dict.fromkeys(
        (
            "POSTGRES_PASSWORD",
            "POSTGRES_SUPERUSER_PASSWORD",
            "REDIS_PASSWORD",
            "REDIS_ENGINE_PASSWORD",
            "PRICING_ADMIN_KEY",
        ),
        "x",
    )
    environ |= {"COMPOSE_PROFILES": "gateway,monitoring"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=os.environ | environ, capture_output=True, text=True, check=False
    )
    need("docker", "There is no Docker Compose" not in done.stderr, "install its Compose plugin")
    assert done.returncode == 0, done.stderr
    assert all(image in done.stdout for image in ("haproxy:", "prom/prometheus:", "grafana/grafana:", "jaegertracing/"))
    assert "/etc/jaeger/config.yaml" in done.stdout


@pytest.mark.usefixtures("docker_command")
def test_an_engine_that_says_nothing_is_named_and_a_way_without_it(broken_engine: str, tmp_path: Path) -> None:
    done = deploy("up", "docker", DOCKER_HOST=broken_engine, PRICING_HOME=tmp_path / "home")
    assert done.returncode == 1
    assert "The Docker engine cannot be used" in done.stderr
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
    seen = tmp_path / "seen"
    path = _path_with_docker(
        tmp_path,
        f"if [ $1 = version ] && [ -e {seen} ]; then echo 'is the daemon running?' >&2; exit 1; fi",
        f"if [ $1 = compose ] && [ $2 = up ]; then touch {seen}; exit 1; fi",
    )
    environ = {"PATH": path, **free_ports()}
    folder = copied(tmp_path)
    done = deploy("up", "docker", cwd=folder, PRICING_HOME=folder / ".pricing", **environ)
    assert done.returncode == 1
    assert "The Docker engine went away (is the daemon running?)" in done.stderr


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline()
