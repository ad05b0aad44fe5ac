"""The control of a case: the share of the machine that other programs took while it played."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil

from tests.chaos.environment import Environment

# Above it a bar that was missed says nothing about the engine: on two cores, half a core.
BUSY_SHARE = 0.25
EVERY_S = 1.0
# Of the machine's time; guests are part of `user`.
BUSY = ("user", "nice", "system", "irq", "softirq", "steal")


@dataclass(frozen=True)
class Sample:
    """The CPU time so far, in seconds.

    Attributes:
        at: The time of the sample, by the monotonic clock.
        busy_s: Of the whole machine, with what a hypervisor took.
        ours: Of the processes of the stacks and of this one, by process id.
    """

    at: float
    busy_s: float
    ours: Mapping[int, float]


def others_s(before: Sample, after: Sample) -> float:
    """The CPU time of other programs between two samples, in seconds."""
    ours = sum(seconds - before.ours.get(pid, 0.0) for pid, seconds in after.ours.items())
    return max(0.0, after.busy_s - before.busy_s - ours)


class Control:
    """Adds up the CPU time of other programs, sample by sample."""

    def __init__(self, cores: int) -> None:
        self._cores = cores
        self._first: Sample | None = None
        self._last: Sample | None = None
        self._others_s = 0.0

    def add(self, sample: Sample) -> None:
        """Take the next sample."""
        if self._last is not None:
            self._others_s += others_s(self._last, sample)
        self._first = self._first or sample
        self._last = sample

    @property
    def share(self) -> float:
        """The share of all cores that other programs took; 0 before there are two samples."""
        if self._first is None or self._last is None or self._last.at <= self._first.at:
            return 0.0
        return self._others_s / ((self._last.at - self._first.at) * self._cores)


def sample(environment: Environment) -> Sample:
    """A sample of this machine."""
    times = psutil.cpu_times()
    roots = [os.getpid(), *(each.supervisor_pid() for each in (environment.apps, environment.servers))]
    ours: dict[int, float] = {}
    for pid in roots:
        with suppress(psutil.Error):
            root = psutil.Process(pid)
            for process in (root, *root.children(recursive=True)):
                with suppress(psutil.Error):
                    ours[process.pid] = sum(process.cpu_times()[:2])
    return Sample(time.monotonic(), sum(getattr(times, name, 0.0) for name in BUSY), ours)


@contextmanager
def controlled(environment: Environment, take: Callable[[Environment], Sample] = sample) -> Iterator[Control]:
    """Take a sample each second within the block."""
    control, stop = Control(psutil.cpu_count() or 1), threading.Event()

    def loop() -> None:
        control.add(take(environment))
        while not stop.wait(EVERY_S):
            control.add(take(environment))
        control.add(take(environment))

    thread = threading.Thread(target=loop, name="control", daemon=True)
    thread.start()
    try:
        yield control
    finally:
        stop.set()
        thread.join()
