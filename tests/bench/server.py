"""One server under measurement: started on its core, waited for, asked what it used."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from deploy import ports
from deploy.native import environment
from tests.bench.wrk import CannotMeasure
from tests.support.processes import is_tracker

REPOSITORY = Path(__file__).resolve().parents[2]
READY_S = 60
STOP_S = 20
POLL_S = 0.05


class Server:
    """A running server, of one process or of a main one with its children."""

    def __init__(self, pid: int, url: str) -> None:
        self._process = psutil.Process(pid)
        self.url = url

    @property
    def family(self) -> list[psutil.Process]:
        """The main process, then those that it started."""
        children = self._process.children(recursive=True)
        return [self._process, *(child for child in children if not is_tracker(child))]

    @property
    def serving(self) -> list[psutil.Process]:
        """The processes that answer: the children of a main process, else itself."""
        return self.family[1:] or self.family

    def cpu_s(self) -> float:
        """CPU time of all its processes so far, user and system."""
        return sum(sum(process.cpu_times()[:2]) for process in self.family)

    def rss_bytes(self) -> int:
        """Memory of the processes that answer."""
        return sum(process.memory_info().rss for process in self.serving)


@contextmanager
def running(
    module: str, home: Path, env: Mapping[str, str], cores: Sequence[int], ready: str = "/health/ready"
) -> Iterator[Server]:
    """Run `python -m module` on these cores, on a free port, until the block ends.

    Args:
        module: Reads its address, its home and its servers from `PRICING_*` variables.
        home: Its own `PRICING_HOME`; its log stands in there.
        env: Further variables.
        cores: The only ones that it may use.
        ready: What it answers with 200 when it is ready.

    Raises:
        CannotMeasure: it did not become ready.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    port = ports.free_port()
    values = environment.of_programs(home, os.environ, {"PRICING_PORT": str(port), **env})
    before = os.sched_getaffinity(0)
    with (home / "log").open("wb") as log:
        # Inherited at the start, so that no thread of it is ever elsewhere.
        os.sched_setaffinity(0, cores)
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", module], cwd=REPOSITORY, env=values, stdout=log, stderr=subprocess.STDOUT
            )
        finally:
            os.sched_setaffinity(0, before)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_ready(process, url + ready, home / "log")
        yield Server(process.pid, url)
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            if httpx.get(url, timeout=5, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(POLL_S)
    raise CannotMeasure(f"{process.args!r} did not become ready; its log:\n{log.read_text()[-2000:]}")
