"""Metrics: what is counted, and how several processes answer one scrape.

`PROMETHEUS_MULTIPROC_DIR` must be set before this module is imported; `prepare_metrics` of `shared.process_group`
does that for a process group.
"""

import os
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

LATENCY_BUCKETS_S = (
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0,
)  # fmt: skip

HTTP_DURATION = Histogram(
    "http_request_duration_seconds",
    "Time from a request's first byte to its answer's last, by route template",
    ["method", "route", "status"],
    buckets=LATENCY_BUCKETS_S,
)
CACHE_HIT_DURATION = Histogram(
    "pricing_cache_hit_duration_seconds",
    "The same for price queries of which every sheet came from Redis",
    buckets=LATENCY_BUCKETS_S,
)
CACHE_READS = Counter(
    "pricing_cache_reads",
    "Price sheets looked up in Redis: hit, miss, corrupt (did not decode) or error (Redis away)",
    ["result"],
)
DECISIONS = Counter("pricing_decisions", "Prices decided by the workers, changed or not", ["cause"])
PRICES_CHANGED = Counter("pricing_prices_changed", "Prices that a decision changed", ["cause"])
JOB_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
JOB_DURATION = Histogram(
    "pricing_job_duration_seconds", "Time that attempts at background jobs took", ["actor"], buckets=JOB_BUCKETS_S
)
QUEUE_WAIT = Histogram(
    "pricing_queue_wait_seconds", "Time that due messages lay in their queue", ["queue"], buckets=JOB_BUCKETS_S
)
EVENT_LAG = Histogram(
    "pricing_event_lag_seconds",
    "From the acceptance of an event to the moment when what it changed is served",
    buckets=JOB_BUCKETS_S,
)
TASKS_ENDED = Counter("pricing_tasks_ended", "Attempts at background jobs by how they ended", ["actor", "outcome"])
EVENTS_RECEIVED = Counter("pricing_events_received", "Market events taken from the channel", ["outcome"])
EVENTS_SETTLED = Counter("pricing_events_settled", "Market events by what became of them", ["status"])
RINGS = Counter("pricing_rings", "Messages enqueued by the listener", ["actor", "reason"])
LINK_UP = Gauge(
    "pricing_market_events_link_up",
    "Whether the listener's subscription to market_events answers its pings",
    multiprocess_mode="livemin",
)
LINK_LOSSES = Counter("pricing_market_events_link_losses", "Times that the subscription was lost")
SWEPT_AT = Gauge(
    "pricing_sweep_timestamp_seconds", "When the listener last looked for what waits", multiprocess_mode="livemax"
)
PROCESSES = Gauge("pricing_processes", "Processes that live", ["service", "version"], multiprocess_mode="livesum")
SPANS_LOST = Counter("pricing_spans_lost", "Spans that could not be exported")
LOOP_ERRORS = Counter("pricing_loop_errors", "Errors that a process's outermost loop survived", ["error"])


def group_registry() -> CollectorRegistry:
    """The metrics of all processes of the group; of this process alone where it has no group."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    registry.register(LivingProcesses())
    return registry


class LivingProcesses(Collector):
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


class Lately(Collector):
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
