"""promtool, Prometheus' own checker: found on PATH or beside this Python."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.prerequisites import need

HOW = "apt-get install prometheus, or any release of Prometheus, has it"


def run(*arguments: str, text: str = "", folder: Path | None = None) -> str:
    """Run it; what it printed. Fails the test where it finds something wrong."""
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"
    promtool = shutil.which("promtool", path=path)
    need("promtool", promtool, HOW)
    command = [str(promtool), *arguments]
    done = subprocess.run(command, input=text, cwd=folder, capture_output=True, text=True, check=False)
    said = f"{done.stdout}{done.stderr}"
    assert done.returncode == 0, said
    return said
