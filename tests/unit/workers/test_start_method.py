"""How the worker's main process starts its workers."""

import subprocess
import sys

import pytest

SCRIPT = """
import multiprocessing, sys
from workers.__main__ import fork_on_linux
sys.platform = sys.argv[1]
fork_on_linux()
print(multiprocessing.get_start_method(allow_none=True))
"""


@pytest.mark.parametrize(("platform", "method"), [("linux", "fork"), ("darwin", "None")])
def test_workers_are_forked_on_linux_only_whatever_pythons_default_is(platform: str, method: str) -> None:
    """None: nothing was chosen, and Python's default will be taken."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, platform], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == method
