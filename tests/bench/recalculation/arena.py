"""A stack to measure in: servers and processes of its own, without a feed and without traces."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

from deploy import ports
from deploy.native import environment, programs, stack
from shared import settings
from tests.support.engine import Engine
from tests.support.processes import Processes

# Each takes its share of the CPU: those that the workers wait for, and those that ask them.
PROGRAMS = ("worker", "postgres", "redis", "listener", "api")


class Arena:
    """A running stack, and what its processes have used so far."""

    def __init__(self, engine: Engine, processes: Processes) -> None:
        self.engine, self.processes = engine, processes

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds of each program so far, of all its processes."""
        used = {}
        for program in PROGRAMS:
            main = self.processes.main(program).cpu_times()
            used[program] = main.children_user + main.children_system
            used[program] += sum(map(_cpu_s, self.processes.family(program)))
        return used

    def worker_peaks_mb(self) -> list[float]:
        """The most memory that each worker process ever held, in MB."""
        return [_peak_mb(process.pid) for process in self.processes.family("worker")[1:]]

    def stations_s(self) -> dict[str, float]:
        """Seconds that the workers spent in each station of bulk decisions so far, of all threads."""
        url = f"http://127.0.0.1:{self.engine.settings.worker_metrics_port}/metrics"
        found = {}
        for line in self.engine.http.get(url).text.splitlines():
            if line.startswith("pricing_repricing_stage_seconds_total{"):
                found[line.split('"')[1]] = float(line.split()[-1])
        return found


@contextmanager
def running(**settings_: str) -> Iterator[Arena]:
    """Start the engine with its usual settings, and with these; stop it and remove all of it after the block."""
    with ExitStack() as undo:
        folder = undo.enter_context(tempfile.TemporaryDirectory(prefix="pricing-"))
        home = Path(folder).resolve() / "home"
        undo.callback(stack.down, home)
        stack.up(home, _environ() | settings_, [name for name in programs.NAMES if name != "jaeger"])
        known = settings.load({**environment.load(home), "PRICING_HOME": str(home)})
        engine = Engine(home, known)
        undo.callback(engine.close)
        yield Arena(engine, Processes(home))


def _environ() -> dict[str, str]:
    machine = {name: value for name, value in os.environ.items() if not name.startswith(("PRICING_", "OTEL_"))}
    names = ("PRICING_PORT", "PRICING_WORKER_METRICS_PORT", "PRICING_LISTENER_METRICS_PORT")
    return machine | {name: str(ports.free_port()) for name in names}


def _cpu_s(process: psutil.Process) -> float:
    """What a process has used; one that has just ended is among the children that its parent counts."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1024
