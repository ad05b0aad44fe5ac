"""One kind of server under one kind of load, measured in several windows."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from tests.bench import wrk
from tests.bench.cores import Cores
from tests.bench.server import Server
from tests.bench.wrk import CONNECTIONS, Measured

PRICE = "/api/v1/price"
# The share of the cold queries whose sheet is in Redis when wrk has ended; the last may still be on their way.
FILLED = 0.95
# Of the same load before each window, since the others' windows are longer than a process keeps what nobody asks for.
WARM_UP_S = 1


@dataclass(frozen=True)
class Window:
    """What one window showed.

    Attributes:
        wrk: The load's side.
        cpu_s: CPU time of the server's processes.
        rss_bytes: Memory of the processes that answer, at the end.
        others_busy: Share of the window in which the core of the load and the data servers was not idle.
        disturbed: Share of the window in which the server's core worked for somebody else, or was taken from
            this machine.
    """

    wrk: Measured
    cpu_s: float
    rss_bytes: int
    others_busy: float
    disturbed: float

    @property
    def cpu_us_per_request(self) -> float:
        """CPU time of the server for one request."""
        return self.cpu_s * 1e6 / max(self.wrk.requests, 1)


@dataclass
class Series:
    """A server, what it is asked, and what that showed.

    Attributes:
        name: As in the JSON.
        title: For people.
        server: Already running.
        queries: The file for the window of each round; the first is for the warm-up.
        connections: How many queries are under way at any time.
        first_s: For how long it is asked before its first window.
        once: How many queries a file has of which none may be asked twice; 0: they may.
        filled: How many sheets Redis holds for it; every query of a window shall add one.
        faults: Why its figures do not count.
    """

    name: str
    title: str
    server: Server
    queries: Callable[[int], Path]
    path: str = PRICE
    connections: int = CONNECTIONS
    first_s: int = WARM_UP_S
    once: int = 0
    filled: Callable[[], int] | None = None
    windows: list[Window] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    sent: int = 0

    def warm_up(self, seconds: int, where: Cores) -> None:
        """Ask it before its first window; what that takes is not kept."""
        if self.first_s > WARM_UP_S:
            self.sent += self._load(0, self.first_s).requests
        self.measure(0, seconds, where)

    def measure(self, number: int, seconds: int, where: Cores) -> Window:
        """One window, which the caller may keep; where queries may come twice, a second of them goes before."""
        if not self.once:
            self.sent += self._load(0, WARM_UP_S).requests
        cpu_s, busy, own = self.server.cpu_s(), where.busy(where.others), where.busy(where.server)
        filled = self.filled() if self.filled else 0
        measured = self._load(number, seconds)
        used_s = self.server.cpu_s() - cpu_s
        window = Window(
            wrk=measured,
            cpu_s=used_s,
            rss_bytes=self.server.rss_bytes(),
            others_busy=where.busy(where.others).share_since(busy),
            disturbed=max(0.0, where.busy(where.server).share_since(own) - used_s / measured.duration_s),
        )
        self.sent += measured.requests
        self.faults += self.faults_of(measured, self.filled() - filled if self.filled else None)
        return window

    def _load(self, number: int, seconds: int) -> Measured:
        return wrk.run(self.server.url + self.path, self.queries(number), seconds, self.connections)

    def faults_of(self, measured: Measured, filled: int | None) -> Iterator[str]:
        """Why a window does not count."""
        if measured.refused or measured.broken:
            yield f"{measured.refused} requests were refused, {measured.broken} had no answer"
        if self.once and measured.requests + self.connections >= self.once:
            yield f"more than {self.once:,} queries in a window: products were asked for twice"
        if filled is not None and filled < measured.requests * FILLED:
            yield f"of {measured.requests:,} cold queries only {filled:,} left their sheet in Redis"

    def each(self, figure: Callable[[Window], float]) -> list[float]:
        """A figure of every window; none where the series does not count."""
        return [] if self.faults else [figure(window) for window in self.windows]

    def median(self, figure: Callable[[Window], float]) -> float:
        """Over the windows; NaN where the series does not count."""
        found = self.each(figure)
        return median(found) if found else float("nan")

    def as_json(self) -> dict[str, Any]:
        """The medians, and each window."""
        return {
            "name": self.name,
            "title": self.title,
            **{name: known(self.median(figure)) for name, figure in FIGURES.items()},
            "faults": self.faults,
            "windows": [
                {**msgspec.to_builtins(window.wrk), **{name: known(f(window)) for name, f in FIGURES.items()}}
                for window in self.windows
            ],
        }


FIGURES: dict[str, Callable[[Window], float]] = {
    "requests_per_s": lambda window: window.wrk.requests_per_s,
    "p50_ms": lambda window: window.wrk.p50_us / 1000,
    "p99_ms": lambda window: window.wrk.p99_us / 1000,
    "cpu_us_per_request": lambda window: window.cpu_us_per_request,
    "rss_mb": lambda window: window.rss_bytes / 1e6,
    "load_cpu_share": lambda window: window.wrk.load_cpu_s / window.wrk.duration_s,
    "others_busy": lambda window: window.others_busy,
    "disturbed": lambda window: window.disturbed,
}


def alternate(series: Sequence[Series], rounds: int, seconds: int, where: Cores, say: Callable[[str], None]) -> None:
    """Warm all of them up, then measure each once per round, in another order each time."""
    for one in series:
        one.warm_up(seconds, where)
    for number in range(1, rounds + 1):
        start = number % len(series)
        for one in (*series[start:], *series[:start]):
            one.windows.append(one.measure(number, seconds, where))
        figures = (f"{one.name} {one.windows[-1].wrk.requests_per_s:,.0f}" for one in series)
        say(f"round {number} of {rounds}, requests/s: {', '.join(figures)}")


def known(value: float) -> float | None:
    """For JSON, which has no NaN."""
    return None if value != value else round(value, 4)
