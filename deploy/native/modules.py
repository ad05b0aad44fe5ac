"""Our own modules, run to their end as child processes."""

import subprocess
import sys
from collections.abc import Mapping

from deploy.native.programs import REPOSITORY


def run(*arguments: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `python -m` with these arguments. Its output has the errors; only this user can read its files."""
    return subprocess.run(  # noqa: S603 - our own arguments, no shell
        [sys.executable, "-m", *arguments],
        cwd=REPOSITORY,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        umask=0o077,
        check=False,
    )
