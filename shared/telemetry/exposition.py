"""How several processes answer one scrape, and figures that are not counted but looked up."""

import os
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from prometheus_client import REGISTRY, CollectorRegistry, generate_latest, multiprocess
from prometheus_client.core import Metric
from prometheus_client.registry import Collector


def group_registry() -> CollectorRegistry:
    """The metrics of all processes of the group; of this process alone where it has no group."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    registry.register(MultiprocessCollector())
    return registry


class MultiprocessCollector(Collector):
    """The metrics of a process group: counters of all that it ever had, gauges of those that live."""

    def __init__(self) -> None:
        self._folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
        self._all = multiprocess.MultiProcessCollector(None)  # type: ignore[no-untyped-call] # the library has no types

    def collect(self) -> Iterable[Metric]:
        """Every metric once; nobody tells that a process was killed, so each scrape looks."""
        for path in self._folder.glob("gauge_live*.db"):
            pid = int(path.stem.rpartition("_")[2])
            if not _lives(pid):
                with suppress(FileNotFoundError):  # another process of the group was asked, too
                    multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call] # the library has no types here
        families: Iterable[Metric] = self._all.collect()  # type: ignore[no-untyped-call] # the library has no types here
        return families

    def describe(self) -> Iterable[Metric]:
        """Nothing: what there is, only a look tells."""
        return []


class CachedCollector(Collector):
    """Another collector's figures, at most some seconds old: a scrape may cost its servers something."""

    def __init__(self, collector: Collector, max_age_s: float) -> None:
        self._collector, self._max_age_s = collector, max_age_s
        self._lock = threading.Lock()
        self._seen: list[Metric] = []
        self._seen_at = float("-inf")

    def collect(self) -> Iterable[Metric]:
        """As they were, or are now."""
        with self._lock:
            if time.monotonic() - self._seen_at > self._max_age_s:
                self._seen, self._seen_at = list(self._collector.collect()), time.monotonic()
            return self._seen

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that registering asks nobody."""
        return []


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def exposition(*extra: Collector) -> bytes:
    """The group's metrics in Prometheus' text format, and those of further collectors."""
    own = CollectorRegistry()
    for collector in extra:
        own.register(collector)
    return generate_latest(group_registry()) + generate_latest(own)
