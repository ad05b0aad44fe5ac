"""Metrics: what is counted, and how several processes answer one scrape.

`PROMETHEUS_MULTIPROC_DIR` must be set before this module is imported; `prepare_metrics` of `shared.process_group`
does that for a process group.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest, multiprocess
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
TASKS_ENDED = Counter("pricing_tasks_ended", "Attempts at background jobs by how they ended", ["actor", "outcome"])
EVENTS_RECEIVED = Counter("pricing_events_received", "Market events taken from the channel", ["outcome"])
EVENTS_SETTLED = Counter("pricing_events_settled", "Market events by what became of them", ["status"])
STALE_WRITES = Counter(
    "pricing_stale_writes_refused", "Writes of workers that had lost their partition to another one, refused"
)
LOCK_REFUSALS = Counter("pricing_lock_refusals", "Recalculations that the lock refused because another one runs")
LOCK_LOSSES = Counter("pricing_lock_losses", "Locks that another task held when their owner renewed them")
QUARANTINES = Counter("pricing_quarantined", "Jobs that killed their workers three times and are given up", ["kind"])
RUN_DURATION = Histogram(
    "pricing_run_duration_seconds",
    "Time from a recalculation's first start to its end",
    buckets=(0.1, 0.5, 1, 5, 15, 30, 60, 120, 300, 600, 1800),
)
STATION_SECONDS = Counter(
    "pricing_repricing_station_seconds",
    "Time that bulk decisions spent: reading (with the locks), deciding, writing, committing, putting",
    ["station"],
)
PARTITION_PRODUCTS = Histogram(
    "pricing_partition_products", "Products decided per partition of a run", buckets=(1, 10, 100, 500, 1000)
)
RINGS = Counter("pricing_rings", "Messages enqueued by the listener", ["actor", "reason"])
LOOP_ERRORS = Counter("pricing_loop_errors", "Errors that a process's outermost loop survived", ["error"])


@contextmanager
def station(name: str) -> Iterator[None]:
    """Count the time of a block for a station of bulk decisions."""
    begun = time.perf_counter()
    try:
        yield
    finally:
        STATION_SECONDS.labels(name).inc(time.perf_counter() - begun)


def group_registry() -> CollectorRegistry:
    """The metrics of all processes of the group; of this process alone where it has no group."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call] # the library has no types here
    return registry


def exposition(*extra: Collector) -> bytes:
    """The group's metrics in Prometheus' text format, and those of further collectors."""
    own = CollectorRegistry()
    for collector in extra:
        own.register(collector)
    return generate_latest(group_registry()) + generate_latest(own)
