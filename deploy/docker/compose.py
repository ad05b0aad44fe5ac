"""Docker Compose as a command: `docker compose` where there is one, else docker-compose 1.29."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import click

from deploy.docker import passwords

ENGINE_S = 10
REPOSITORY = Path(__file__).resolve().parents[2]


class DockerError(click.ClickException):
    """What keeps Docker from doing what was asked, in a sentence for its user; exit code 1."""


def engine_answers() -> bool:
    """Whether a Docker engine can be reached from here."""
    return why_no_engine() is None


def why_no_engine() -> str | None:
    """What is wrong with the Docker engine; None where it answers."""
    docker = shutil.which("docker")
    if docker is None:
        return "there is no program docker"
    try:
        done = _run([docker, "info", "--format", "{{.ServerVersion}}"], capture=True, timeout_s=ENGINE_S)
    except subprocess.TimeoutExpired:
        return f"its engine says nothing for {ENGINE_S} s"
    lines = done.stderr.strip().splitlines()
    return None if done.returncode == 0 and done.stdout.strip() else (lines or ["its engine does not answer"])[-1]


def run(*arguments: str, capture: bool = False) -> str:
    """Run a Compose command in this project; its output where it is captured.

    Raises:
        DockerError: there is no Compose, or the command failed.
    """
    done = _run([*_command(), *arguments], capture=capture)
    if done.returncode:
        if gone := why_no_engine():
            raise DockerError(f"The Docker engine went away ({gone}): start it again, then `just up` or `just down`.")
        reason = (done.stderr or "").strip() or "see above"
        raise DockerError(f"docker compose {arguments[0]} failed: {reason}. `just up native` needs no Docker.")
    return done.stdout or ""


def containers(*, running: bool = False) -> list[str]:
    """The ids of the project's containers, or of those that run; none where no engine answers."""
    project = passwords.read(REPOSITORY).get(passwords.PROJECT)
    if project is None or not engine_answers():
        return []
    label = f"label=com.docker.compose.project={project}"
    return _run(["docker", "ps", "-q" if running else "-aq", "--filter", label], capture=True).stdout.split()


def catalogue(arguments: Sequence[str]) -> int:
    """Run `python -m shared.catalogue` in a container of its own; its exit code.

    The folders of files that are named, to be read or to be written, are mounted, and files are written as the caller.
    """
    named = [Path(argument.rpartition("=")[2]) for argument in arguments]
    folders = {str(path.resolve().parent) for path in named if len(path.parts) > 1 or path.is_file()}
    mounts = [part for folder in sorted(folders | {str(Path.cwd())}) for part in ("-v", f"{folder}:{folder}")]
    options = ["--rm", "--no-deps", "-T", "-u", f"{os.getuid()}:{os.getgid()}", "-w", str(Path.cwd())]
    command = [*_command(), "run", *options, *mounts, "-e", "PYTHONPATH=/app", "worker"]
    return _run([*command, "python", "-m", "shared.catalogue", *arguments], capture=False).returncode


def unhealthy() -> list[str]:
    """A line for each container that is not what it should be yet: healthy, or ended well, or running."""
    if not (ids := containers()):
        return ["no containers"]
    template = (
        '{{index .Config.Labels "com.docker.compose.service"}} {{.State.Status}} '
        "{{if .State.Health}}{{.State.Health.Status}}{{else}}-{{end}} {{.State.ExitCode}}"
    )
    lines = _run(["docker", "inspect", "--format", template, *ids], capture=True).stdout.splitlines()
    return [line for line in lines if not _is_well(line)]


def _is_well(line: str) -> bool:
    _, status, health, code = line.split()
    return (status == "running" and health in ("healthy", "-")) or (status == "exited" and code == "0")


def _command() -> list[str]:
    if shutil.which("docker") and _run(["docker", "compose", "version"], capture=True).returncode == 0:
        return ["docker", "compose"]
    if old := shutil.which("docker-compose"):
        return [old]
    raise DockerError("There is no Docker Compose: install the docker-compose-plugin, or use `just up native`.")


def _run(command: Sequence[str], *, capture: bool, timeout_s: float | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 # ours
        command, cwd=REPOSITORY, capture_output=capture, text=True, check=False, timeout=timeout_s
    )
