"""`just`'s own command line, run in a copy of the project: for stacks in containers."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy import ports

ROOT = Path(__file__).resolve().parents[2]


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


@contextmanager
def deploying(*arguments: str, cwd: Path, **environ: object) -> Iterator[subprocess.Popen[str]]:
    """`just`'s own command line while it runs, in a process group of its own; killed at the end."""
    command = [sys.executable, "-u", "-m", "deploy", *arguments]
    env = os.environ | {name: str(value) for name, value in environ.items()}
    with subprocess.Popen(
        command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def copied(tmp_path: Path) -> Path:
    """A clone of the project, with no environment, passwords and data yet."""
    left_out = shutil.ignore_patterns(".*_cache", ".git", ".venv", ".env", ".pricing", ".hypothesis", "__pycache__")
    return shutil.copytree(ROOT, tmp_path / "clone", ignore=left_out)


def free_ports() -> dict[str, int]:
    """A free one for each port that the stack in containers publishes."""
    return {name: ports.free_port() for name in ("PRICING_PORT", "JAEGER_PORT", "PROMETHEUS_PORT", "GRAFANA_PORT")}
