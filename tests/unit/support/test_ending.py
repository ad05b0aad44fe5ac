"""A program with servers of its own: its end."""

import signal
import subprocess
import sys

import pytest

SCRIPT = """
import signal
from tests.support.ending import ends_once

ends_once()
try:
    print("runs", flush=True)
    signal.pause()
finally:
    print("ends", flush=True)
    input()
    print("ended", flush=True)
"""


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_another_signal_does_not_cut_the_end_short(first: signal.Signals) -> None:
    """Ctrl-C twice: the servers are stopped all the same."""
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdin and program.stdout
        assert program.stdout.readline() == "runs\n"
        program.send_signal(first)
        assert program.stdout.readline() == "ends\n"
        program.send_signal(signal.SIGINT)
        program.send_signal(signal.SIGTERM)
        said, _ = program.communicate("go on\n")
    assert said == "ended\n"
    assert program.returncode == 128 + first
