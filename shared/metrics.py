"""Metrics: what is counted.

`PROMETHEUS_MULTIPROC_DIR` must be set before this module is imported; `prepare_metrics` of `shared.process_group`
does that for a process group.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Gauge, Histogram

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
STALE_WRITES = Counter(
    "pricing_stale_writes_refused", "Writes of workers that had lost their partition to another one, refused"
)
LOCK_REFUSALS = Counter("pricing_lock_refusals", "Recalculations that the lock refused because another one runs")
LOCK_LOSSES = Counter("pricing_lock_losses", "Locks that another task held when their owner renewed them")
QUARANTINED = Counter("pricing_quarantined", "Jobs that killed their workers three times and are given up", ["kind"])
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


@contextmanager
def station(name: str) -> Iterator[None]:
    """Count the time of a block for a station of bulk decisions."""
    begun = time.perf_counter()
    try:
        yield
    finally:
        STATION_SECONDS.labels(name).inc(time.perf_counter() - begun)
