"""Who runs where: the server that is measured has one core to itself, all others share another."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import psutil

from tests.bench.wrk import CannotMeasure

# Gives way at once to whoever wants the core, and ends with the process that began it.
_IDLE = """
import os, sys
parent = os.getppid()
os.sched_setaffinity(0, [int(sys.argv[1])])
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
while os.getppid() == parent:
    for _ in range(100_000):
        pass
"""


@dataclass(frozen=True)
class Cores:
    """Two cores of this machine, by number.

    Attributes:
        server: Of the server that is measured.
        others: Of the load and the data servers.
        idlers: What runs on each where nobody else wants to.
    """

    server: int
    others: int
    idlers: Mapping[int, psutil.Process]

    def busy(self, core: int) -> "Busy":
        """How busy one of them has been."""
        times = psutil.cpu_times(percpu=True)[core]
        idle_s = sum(self.idlers[core].cpu_times()[:2])
        return Busy(sum(times[:8]), times.idle + times.iowait + idle_s)


@contextmanager
def chosen() -> Iterator[Cores]:
    """Take two cores, and move this process, with all that it starts from now on, to the one of the others.

    Neither halts before the block ends. A virtual machine's core that does is woken by way of the hypervisor, which
    takes about as long as a query, for nearly every query: a figure of the hypervisor, not of the server.

    Raises:
        CannotMeasure: there is one core only, or no way to choose.
    """
    if not hasattr(os, "sched_setaffinity"):
        raise CannotMeasure("The benchmarks pin processes to cores, which only Linux can: run them there.")
    available = sorted(os.sched_getaffinity(0))
    if len(available) < 2:
        raise CannotMeasure("The benchmarks need two cores, one for the server and one for the load; here is one.")
    server, others = available[-1], available[0]
    with ExitStack() as undo:
        idlers = {}
        for core in (server, others):
            idler = subprocess.Popen([sys.executable, "-c", _IDLE, str(core)])
            undo.callback(idler.wait)
            undo.callback(idler.kill)
            idlers[core] = psutil.Process(idler.pid)
        os.sched_setaffinity(0, {others})
        yield Cores(server, others, idlers)


@dataclass(frozen=True)
class Busy:
    """What one core has done since the machine started, in seconds."""

    total_s: float
    idle_s: float

    def share_since(self, earlier: "Busy") -> float:
        """The share of the time in between in which the core was not idle; what is stolen from it counts."""
        total = self.total_s - earlier.total_s
        return 1 - (self.idle_s - earlier.idle_s) / total if total else 0.0
