"""One scrape for several processes, and collectors that read their figures at the scrape."""

import os
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import structlog
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest, multiprocess
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

log = structlog.get_logger(__name__)


def group_registry() -> CollectorRegistry:
    """The metrics of all processes of the group; without a group those of this process."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    registry.register(MultiprocessCollector())
    return registry


class MultiprocessCollector(Collector):
    """The metrics of a process group: counters of all its processes, ended ones included, and gauges of live ones."""

    def __init__(self) -> None:
        self._folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])

    def collect(self) -> Iterable[Metric]:
        """Every metric once. A crashed process leaves its files, so each scrape checks which processes live."""
        for path in self._folder.glob("gauge_live*.db"):
            pid = int(path.stem.rpartition("_")[2])
            if not _lives(pid):
                with suppress(FileNotFoundError):  # another process of the group is scraped, too
                    multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call] # the library has no types here
        files = [str(path) for path in self._folder.glob("*.db") if _has_content(path)]
        families: Iterable[Metric] = multiprocess.MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call] # the library has no types here
        return families

    def describe(self) -> Iterable[Metric]:
        """Nothing: the metrics are read from files at each scrape."""
        return []


class CachedCollector(Collector):
    """Another collector's figures, cached for some seconds, because reading them costs queries."""

    def __init__(self, collector: Collector, max_age_s: float, max_wait_s: float = 1.0) -> None:
        """A collector.

        Args:
            collector: Reads the figures from a server.
            max_age_s: Figures that are older are read anew at the next scrape.
            max_wait_s: A scrape waits this long for them, then it has those of before.
        """
        self._collector, self._max_age_s, self._max_wait_s = collector, max_age_s, max_wait_s
        self._lock = threading.Lock()
        self._seen: list[Metric] = []
        self._seen_at = float("-inf")
        self._reading: threading.Thread | None = None

    def collect(self) -> Iterable[Metric]:
        """The cached figures; where they are too old, they are read anew on a thread."""
        with self._lock:
            if time.monotonic() - self._seen_at <= self._max_age_s:
                return self._seen
            if self._reading is None or not self._reading.is_alive():
                self._reading = threading.Thread(target=self._read, name="figures", daemon=True)
                self._reading.start()
            reading = self._reading
        reading.join(self._max_wait_s)
        return self._seen

    def _read(self) -> None:
        try:
            self._seen, self._seen_at = list(self._collector.collect()), time.monotonic()
        except Exception:  # the scrape goes on with the figures of before
            log.exception("figures not read")

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that registering runs no query."""
        return []


def _has_content(path: Path) -> bool:
    """Whether the file can be read. A process that starts creates its files empty; the library fails on those."""
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def exposition(*extra: Collector) -> bytes:
    """The group's metrics in Prometheus' text format, followed by those of further collectors."""
    own = CollectorRegistry()
    for collector in extra:
        own.register(collector)
    return generate_latest(group_registry()) + generate_latest(own)
