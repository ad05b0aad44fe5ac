"""The processes of a running stack, as its supervisor and the system know them."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from deploy.native import processes, state
from deploy.native.supervisor_client import Program, Supervisor
from tests.support.waiting import eventually


def is_alive(process: psutil.Process) -> bool:
    """Whether a process has not ended; one that only waits to be reaped has."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def is_tracker(process: psutil.Process) -> bool:
    """Whether a process is Python's own resource tracker, which stands beside spawned workers and does no work."""
    with suppress(psutil.NoSuchProcess):
        return "resource_tracker" in " ".join(process.cmdline())
    return False


class Processes:
    """What runs below one home.

    Attributes:
        home: Its folder.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self._supervisor = Supervisor(state.load(home))

    def main(self, program: str) -> psutil.Process:
        """The process of a program that the supervisor itself started."""
        return psutil.Process(self._program(program).pid)

    def family(self, program: str) -> list[psutil.Process]:
        """A program's living processes, its main one first, its children in the order of their start."""
        main = self.main(program)
        children = sorted(main.children(recursive=True), key=lambda child: (child.create_time(), child.pid))
        return [process for process in (main, *children) if is_alive(process) and not is_tracker(process)]

    def runs(self, program: str, size: int) -> bool:
        """Whether a program runs, with so many processes."""
        try:
            return self._program(program).statename == "RUNNING" and len(self.family(program)) == size
        except psutil.NoSuchProcess:
            return False

    def supervisor_pid(self) -> int | None:
        """The process of the supervisor; None where it does not run."""
        return self._supervisor.pid()

    def strays(self) -> list[psutil.Process]:
        """Processes of this home that are not below its supervisor."""
        supervisor = psutil.Process(self._supervisor.pid())
        below = {supervisor.pid, *(process.pid for process in supervisor.children(recursive=True))}
        return [process for process in processes.leftovers(self.home) if process.pid not in below]

    @contextmanager
    def stopped(self, program: str) -> Iterator[None]:
        """Stop a program within the block, and start it again after it."""
        self._supervisor.stop(program)
        try:
            yield
        finally:
            self._supervisor.start(program)
            eventually(lambda: self._program(program).statename == "RUNNING", f"{program} runs again")

    def _program(self, name: str) -> Program:
        return self._supervisor.program(name)
