"""The programs of the stack: their command lines, their order, their addresses."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.errors import StackError
from deploy.native import postgres_server, redis_server
from deploy.native.state import State
from shared.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[2]
APPS = {"api": "api", "worker": "workers", "listener": "listener"}  # program → module
NAMES = ("postgres", "redis", "jaeger", *APPS)  # in the order of their start
STOP_ORDER = ("api", "listener", "worker", "jaeger", "redis", "postgres")
JAEGER_UI = "http://127.0.0.1:16686"
JAEGER_OTLP = "http://127.0.0.1:4318"
JAEGER_PORTS = (4317, 4318, 16686)


@dataclass(frozen=True)
class Launch:
    """A command line and its working folder."""

    command: list[str]
    folder: Path


def prepare(name: str, home: Path, state: State, env: Mapping[str, str]) -> None:
    """Create the files below `home` that a program needs before its start.

    Raises:
        StackError: the program cannot be run here; the text has the remedy.
    """
    if name == "postgres":
        postgres_server.prepare(home, state, env)
    elif name == "redis":
        redis_server.prepare(home, state, env)


def launch(name: str, home: Path, state: State, env: Mapping[str, str]) -> Launch:
    """The command line by which the supervisor starts a program."""
    if name == "postgres":
        return Launch(postgres_server.command(home, state, env), home)
    if name == "redis":
        return Launch(redis_server.command(env), redis_server.folder(home))
    if name == "jaeger":
        return Launch([jaeger(env) or "jaeger"], home)
    return Launch([sys.executable, "-m", APPS[name]], REPOSITORY)


def jaeger(env: Mapping[str, str]) -> str | None:
    """The path of Jaeger 2; None where it is not installed."""
    return shutil.which("jaeger", path=env.get("PATH"))


def address(name: str, state: State, settings: Settings) -> str:
    """The address of a program, without passwords."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - compared, not bound
    host = f"[{host}]" if ":" in host else host
    return {
        "postgres": f"127.0.0.1:{state.postgres_port}",
        "redis": f"127.0.0.1:{state.redis_port}",
        "jaeger": JAEGER_UI,
        "api": f"{settings.scheme}://{host}:{settings.port}",
        "worker": f"http://127.0.0.1:{settings.worker_metrics_port}/metrics",
        "listener": f"http://127.0.0.1:{settings.listener_metrics_port}/metrics",
    }[name]


def check_names(names: Sequence[str]) -> None:
    """Raise StackError for the first name that is not a program's."""
    for name in names:
        if name not in NAMES:
            raise StackError(f"There is no program {name}; there are {', '.join(NAMES)}.")
