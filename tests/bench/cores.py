"""Who runs where: the server that is measured has one core to itself, all others share another."""

import os
from dataclasses import dataclass

import psutil

from tests.bench.wrk import CannotMeasure


@dataclass(frozen=True)
class Cores:
    """Two cores of this machine, by number."""

    server: int
    others: int


def choose() -> Cores:
    """Take two cores, and move this process, with all that it starts from now on, to the one of the others.

    Raises:
        CannotMeasure: there is one core only, or no way to choose.
    """
    if not hasattr(os, "sched_setaffinity"):
        raise CannotMeasure("The benchmarks pin processes to cores, which only Linux can: run them there.")
    available = sorted(os.sched_getaffinity(0))
    if len(available) < 2:
        raise CannotMeasure("The benchmarks need two cores, one for the server and one for the load; here is one.")
    chosen = Cores(server=available[-1], others=available[0])
    os.sched_setaffinity(0, {chosen.others})
    return chosen


@dataclass(frozen=True)
class Busy:
    """What one core has done since the machine started, in seconds."""

    total_s: float
    idle_s: float

    def share_since(self, earlier: "Busy") -> float:
        """The share of the time in between in which the core was not idle; what is stolen from it counts."""
        total = self.total_s - earlier.total_s
        return 1 - (self.idle_s - earlier.idle_s) / total if total else 0.0


def busy(core: int) -> Busy:
    """How busy a core has been."""
    times = psutil.cpu_times(percpu=True)[core]
    return Busy(sum(times[:8]), times.idle + times.iowait)
