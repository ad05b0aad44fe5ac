"""What each process does at its start, in a process of its own."""

import inspect
import subprocess
import sys
from collections.abc import Callable

import pytest

from api import app as api
from listener import __main__ as listener
from shared.commands import __main__ as commands
from workers import app as workers

# Threads that take turns at every instruction decode nested structs for the first time, all at once.
SCRIPT = """
import sys, threading, msgspec
from shared.processes import prepare_structs
def nested():
    parts = [msgspec.defstruct("Inner", [("a", int, 0), ("b", "str | None", None)]) for _ in range(20)]
    return msgspec.defstruct("Outer", [(f"f{n}", part | None, None) for n, part in enumerate(parts)])
outer = [nested() for _ in range(50)]
prepare_structs()
sys.setswitchinterval(1e-6)
for struct in outer:
    document = msgspec.json.encode({name: {"a": 1} for name in struct.__struct_fields__})
    together = threading.Barrier(4)
    def decode():
        together.wait()
        msgspec.json.decode(document, type=struct)
    threads = [threading.Thread(target=decode) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
"""


def test_threads_may_decode_a_struct_for_the_first_time_at_once() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("start", [api.create_app, workers.create_broker, listener.main, commands.main.callback])
def test_every_process_prepares_its_structs(start: Callable[..., object]) -> None:
    assert "prepare_structs()" in inspect.getsource(start)
