"""Docker Compose as a command: `docker compose` where there is one, else docker-compose 1.29."""

import os
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from deploy.compose import passwords
from deploy.compose.errors import DockerError, compose_failed

ENGINE_S = 10
STEADY_S = 3  # a container that runs this long has no fault in its configuration
KEPT_LINES = 20
REPOSITORY = Path(__file__).resolve().parents[2]


def engine_answers() -> bool:
    """Whether a Docker engine can be reached from here."""
    return why_no_engine() is None


def why_no_engine() -> str | None:
    """The reason why there is no Docker engine to use; None where there is one."""
    docker = shutil.which("docker")
    if docker is None:
        return "there is no program docker"
    try:
        done = _run([docker, "version", "--format", "{{.Server.Version}}"], capture=True, timeout_s=ENGINE_S)
    except subprocess.TimeoutExpired:
        return f"its engine does not respond within {ENGINE_S} s"
    except OSError as error:
        return f"{docker}: {error.strerror}"
    if done.returncode == 0 and done.stdout.strip():
        return None
    return next(iter(done.stderr.strip().splitlines()), "the reply is not a Docker engine's")


def succeeds(*arguments: str) -> bool:
    """Whether a Compose command succeeds; its output is discarded."""
    return _run([*_command(), *arguments], capture=True).returncode == 0


def line(*arguments: str) -> list[str]:
    """The command line of a Compose command in this project, from any folder."""
    return [*_command(), "--project-directory", str(REPOSITORY), *arguments]


def captured(*arguments: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a Compose command with further variables; its output is returned and not shown."""
    return _run([*_command(), *arguments], capture=True, env={**os.environ, **env})


def run(*arguments: str, capture: bool = False) -> str:
    """Run a Compose command in this project; returns its output where that is captured.

    Raises:
        DockerError: there is no Compose, or the command failed.
    """
    command = [*_command(), *arguments]
    done = _run(command, capture=True) if capture else _shown(command)
    if done.returncode:
        if gone := why_no_engine():
            raise DockerError(f"The Docker engine went away ({gone}): start it again, then `just up` or `just down`.")
        raise compose_failed(arguments[0], done.stderr.splitlines())
    return done.stdout


def containers(*, running: bool = False) -> list[str]:
    """The ids of the project's containers, or only of running ones; none without an engine."""
    project = passwords.read(REPOSITORY).get(passwords.PROJECT)
    if project is None or not engine_answers():
        return []
    return _listed(project, "ps", "-q" if running else "-aq")


def networks() -> list[str]:
    """The ids of the project's networks; an interrupted start may leave them even without a container."""
    project = passwords.read(REPOSITORY).get(passwords.PROJECT)
    return [] if project is None or not engine_answers() else _listed(project, "network", "ls", "-q")


def catalogue(arguments: Sequence[str]) -> int:
    """Run `python -m shared.commands` in a container of its own; returns its exit code.

    The folders of named files are mounted. Files are written with the caller's user id.
    """
    named = [Path(argument.rpartition("=")[2]) for argument in arguments]
    folders = {str(path.resolve().parent) for path in named if len(path.parts) > 1 or path.is_file()}
    mounts = [part for folder in sorted(folders | {str(Path.cwd())}) for part in ("-v", f"{folder}:{folder}")]
    options = ["--rm", "--no-deps", "-T", "-u", f"{os.getuid()}:{os.getgid()}", "-w", str(Path.cwd())]
    command = [*_command(), "run", *options, *mounts, "-e", "PYTHONPATH=/app", "migrate"]
    return _run([*command, "python", "-m", "shared.commands", *arguments], capture=False).returncode


def unhealthy() -> list[str]:
    """A line for each container that is not healthy, not running steadily, and has not ended with code 0."""
    if not (ids := containers()):
        return ["no containers"]
    template = (
        '{{index .Config.Labels "com.docker.compose.oneoff"}} '
        '{{index .Config.Labels "com.docker.compose.service"}} {{.State.Status}} '
        "{{if .State.Health}}{{.State.Health.Status}}{{else}}-{{end}} {{.State.ExitCode}} {{.State.StartedAt}}"
    )
    lines = _run(["docker", "inspect", "--format", template, *ids], capture=True).stdout.splitlines()
    # One-off containers, for instance of `just import`, do not count.
    services = [line.partition(" ")[2] for line in lines if not line.startswith("True ")]
    return [line.rpartition(" ")[0] for line in services if not _is_well(line)]


def _is_well(line: str) -> bool:
    _, status, health, code, started_at = line.split()
    if status == "running" and health == "-":
        # A container with a faulty configuration is restarted again and again, and also runs for moments.
        return datetime.now(UTC) - datetime.fromisoformat(started_at) >= timedelta(seconds=STEADY_S)
    return (status == "running" and health == "healthy") or (status == "exited" and code == "0")


def _listed(project: str, *command: str) -> list[str]:
    label = f"label=com.docker.compose.project={project}"
    return _run(["docker", *command, "--filter", label], capture=True).stdout.split()


def _command() -> list[str]:
    if shutil.which("docker") and _run(["docker", "compose", "version"], capture=True).returncode == 0:
        return ["docker", "compose"]
    if old := shutil.which("docker-compose"):
        return [old]
    raise DockerError("There is no Docker Compose: install the docker-compose-plugin, or use `just up native`.")


def _run(
    command: Sequence[str], *, capture: bool, timeout_s: float | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 # ours
        command,
        cwd=REPOSITORY,
        env=env,
        capture_output=capture,
        text=True,
        errors="replace",
        check=False,
        timeout=timeout_s,
    )


def _shown(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command with its output on the terminal; its last lines on standard error are kept.

    The command inherits open file descriptors: a Compose that outlives this process holds the home's lock to its end.
    """
    last_lines: deque[str] = deque(maxlen=KEPT_LINES)
    with subprocess.Popen(  # noqa: S603 # ours
        command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True, errors="replace", close_fds=False
    ) as process:
        for line in process.stderr or ():
            sys.stderr.write(line)
            last_lines.append(line)
    return subprocess.CompletedProcess(command, process.returncode, "", "".join(last_lines))
