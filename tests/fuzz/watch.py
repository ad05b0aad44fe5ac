"""The engine while it is fuzzed: whether it lives, answers, and stays as large as it was."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import psutil

from tests.support.processes import Processes

EVERY_S = 0.2
PROGRAMS = ("api", "worker", "listener")


@dataclass
class Watch:
    """Figures of a run.

    Attributes:
        slowest_s: The longest answer of `/health/live`.
        failures: Answers of it that were none.
    """

    processes: Processes
    url: str
    slowest_s: float = 0.0
    failures: list[str] = field(default_factory=list)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Ask `/health/live` again and again during a block."""
        stop = threading.Event()
        thread = threading.Thread(target=self._ask, args=(stop,), name="health")
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def family(self) -> dict[str, list[int]]:
        """The process ids of every program."""
        return {name: [process.pid for process in self.processes.family(name)] for name in PROGRAMS}

    def megabytes(self) -> dict[str, list[float]]:
        """The memory of every program's processes, in the order of `family`."""
        return {name: [_rss(process) / 1e6 for process in self.processes.family(name)] for name in PROGRAMS}

    def _ask(self, stop: threading.Event) -> None:
        with httpx.Client(base_url=self.url, timeout=30, trust_env=False) as client:
            while not stop.wait(EVERY_S):
                began = time.monotonic()
                try:
                    status = client.get("/health/live").status_code
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
                    continue
                self.slowest_s = max(self.slowest_s, time.monotonic() - began)
                if status != 200:
                    self.failures.append(str(status))


def _rss(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
