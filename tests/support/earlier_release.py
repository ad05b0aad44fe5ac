"""A running stack of an earlier release, from the history of this clone."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy import ports
from deploy.native import environment, state
from deploy.native.programs import APPS, REPOSITORY
from deploy.native.supervisor_client import Supervisor
from shared import settings
from shared.settings import Settings
from tests.support.checkouts import check_out
from tests.support.engine import Engine

# The last commit without Sentinel, poolers and the retention of events; its schema is 0037.
BEFORE = "f6af15bcf60634bcb90233a576bce5b88036c551"


def missing() -> str:
    """How to get the earlier release; empty: this clone has it."""
    has = _git("cat-file", "-e", f"{BEFORE}^{{commit}}")
    return (
        "" if has is not None else f"this clone's history does not have {BEFORE[:7]}: `git fetch --unshallow` gets it"
    )


@contextmanager
def running(folder: Path, **chosen: str) -> Iterator[Engine]:
    """Start it without products; stop it after the block.

    Args:
        folder: For its files and its data.
        chosen: Settings of its own; with the URLs of other servers none are started.
    """
    assert not (reason := missing()), reason
    code, home = folder / "earlier", folder / "earlier-home"
    check_out(BEFORE, code)
    machine = {name: value for name, value in os.environ.items() if not name.startswith(("PRICING_", "OTEL_"))}
    names = ("PRICING_PORT", "PRICING_WORKER_METRICS_PORT", "PRICING_LISTENER_METRICS_PORT")
    env = machine | {name: str(ports.free_port()) for name in names} | {"PRICING_HOME": str(home)} | chosen

    def run(*arguments: str) -> None:
        command = [sys.executable, "-m", "deploy.native", *arguments]
        done = subprocess.run(command, cwd=code, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{done.stdout}{done.stderr}"

    try:
        run("up", "--empty", "--only", ",".join(("postgres", "redis", *APPS)))
        engine = Engine(home, settings.load({**environment.load(home), "PRICING_HOME": str(home)}))
        yield engine
        engine.close()
    finally:
        run("down")


def stop(engine: Engine, program: str) -> None:
    """Stop one of its programs for good."""
    Supervisor(state.load(engine.home)).stop(program)


def on_the_servers_of(known: Settings) -> dict[str, str]:
    """Settings of a stack that shares PostgreSQL and Redis."""
    return {
        "PRICING_DATABASE_URL": known.database_url,
        "PRICING_REDIS_URL": known.redis_url,
        "PRICING_BROKER_URL": known.redis_for("broker"),
    }


def _git(*arguments: str) -> bytes | None:
    git = shutil.which("git")
    done = subprocess.run([git, *arguments], cwd=REPOSITORY, capture_output=True, check=False) if git else None
    return done.stdout if done is not None and done.returncode == 0 else None
