"""The metrics of all processes, but those that are read from servers at each scrape.

`PROMETHEUS_MULTIPROC_DIR` must be set before this module is imported; `prepare_metrics` of `shared.processes`
does that for a process group.
"""

import os
import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from prometheus_client import Counter, Gauge, Histogram, values

# Set before the metrics are created: by default the library asks the kernel for the process id at every observation,
# which costs several times as much as the observation itself.
_process = {"id": os.getpid()}
os.register_at_fork(after_in_child=lambda: _process.update(id=os.getpid()))
if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
    values.ValueClass = values.MultiProcessValue(lambda: _process["id"])  # type: ignore[no-untyped-call] # no types

LATENCY_BUCKETS_S = (
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0,
)  # fmt: skip

JOB_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)

HTTP_DURATION = Histogram(
    "http_request_duration_seconds",
    "Time from a request's first byte to its response's last, by route template; source of prices: cache or database",
    ["method", "route", "status", "source"],
    buckets=LATENCY_BUCKETS_S,
)
REQUESTS_SHED = Counter(
    "pricing_requests_shed", "Requests refused with 503 because too many of their kind were under way", ["kind"]
)
# From the start, so that an increase from nothing is one.
for _kind in ("prices", "reads", "writes", "metrics", "streams", "console", "overviews"):
    REQUESTS_SHED.labels(_kind)
RATE_LIMITED = Counter("pricing_rate_limited", "Requests refused with 429", ["kind"])
RATE_LIMITS_SKIPPED = Counter(
    "pricing_rate_limits_skipped", "Requests that were let through unlimited because Redis was away"
)
OFFERS = Counter("pricing_offers_verified", "Offers that were verified, by what came of it", ["outcome"])
FAILED_KEYS = Counter("pricing_failed_keys", "Requests with a key that was unknown, expired or revoked")
NEAR_READS = Counter("pricing_near_cache_reads", "Price sheets looked up in the process's own cache", ["result"])
NEAR_ENTRIES = Gauge("pricing_near_cache_entries", "Price sheets in the near caches", multiprocess_mode="livesum")
NEAR_BYTES = Gauge("pricing_near_cache_bytes", "Estimated memory of the near caches", multiprocess_mode="livesum")
NEAR_STALENESS = Histogram(
    "pricing_near_cache_staleness_seconds",
    "Time from the announcement of new prices until a process no longer serves the old ones",
    buckets=LATENCY_BUCKETS_S,
)
CHANGES_SUBSCRIPTION_UP = Gauge(
    "pricing_price_changes_subscription_up",
    "Whether every process receives announcements; 0: prices are up to a second old",
    multiprocess_mode="livemin",
)
CHANGES_REFUSED = Counter("pricing_price_changes_refused", "Invalid messages on the channel of price changes")
STREAMS = Gauge("pricing_change_streams", "Open streams of changes", multiprocess_mode="livesum")
STREAMS_ENDED = Counter("pricing_change_streams_ended", "Streams of changes that the server ended", ["reason"])
for _reason in ("shutdown", "slow", "key"):
    STREAMS_ENDED.labels(_reason)
WEBHOOK_CALLS = Counter("pricing_webhook_calls", "Calls of webhooks with changes, by outcome", ["outcome"])
for _outcome in ("delivered", "failed"):
    WEBHOOK_CALLS.labels(_outcome)
WEBHOOK_LAG = Histogram(
    "pricing_webhook_lag_seconds", "Time from a change until a webhook has accepted it", buckets=JOB_BUCKETS_S
)
CHANGES_LOGGED = Counter("pricing_changes_logged", "Entries of the log of changes that were given their ids")
EPOCH_CHANGES = Counter(
    "pricing_epoch_changes", "Changes of the database's epoch that a process noticed; its near cache was emptied"
)
EPOCHS_BEGUN = Counter(
    "pricing_epochs_begun",
    "Epochs begun because the data in PostgreSQL went back, or the cache has another primary",
    ["reason"],
)
for _reason in ("database", "cache"):
    EPOCHS_BEGUN.labels(_reason)
CACHE_READS = Counter(
    "pricing_cache_reads",
    "Price sheets looked up in Redis: hit, missing (no such product), miss, corrupt (did not decode) or error (away)",
    ["result"],
)
CACHE_READ_DURATION = Histogram(
    "pricing_cache_read_duration_seconds", "Time of one look-up in Redis, of many sheets", buckets=LATENCY_BUCKETS_S
)
DATABASE_READ_DURATION = Histogram(
    "pricing_database_read_duration_seconds",
    "Time of one look-up in PostgreSQL, of many sheets",
    buckets=LATENCY_BUCKETS_S,
)
BREAKER_OPEN = Gauge(
    "pricing_cache_breaker_open",
    "Whether a process makes no calls to a server for a second, after five failures",
    ["server"],
    multiprocess_mode="livemax",
)
DECISIONS = Counter("pricing_decisions", "Prices decided by the workers, changed or not", ["cause"])
PRICES_CHANGED = Counter("pricing_prices_changed", "Prices that a decision changed", ["cause"])
PRODUCTS_FAILED = Counter(
    "pricing_products_failed", "Products whose price could not be decided because of their own data", ["cause"]
)
for _cause in ("event", "task"):
    PRODUCTS_FAILED.labels(_cause)
UNREADABLE_SHEETS = Counter("pricing_unreadable_sheets", "Price sheets in PostgreSQL that a query could not read")
FEED_QUOTES_REFUSED = Counter("pricing_feed_quotes_refused", "Invalid quotes of the market-data feed")
JOB_DURATION = Histogram(
    "pricing_job_duration_seconds", "Time of attempts at background jobs", ["actor"], buckets=JOB_BUCKETS_S
)
QUEUE_WAIT = Histogram(
    "pricing_queue_wait_seconds", "Time of due messages in their queue", ["queue"], buckets=JOB_BUCKETS_S
)
EVENT_LAG = Histogram(
    "pricing_event_lag_seconds",
    "Time from the acceptance of an event until the new price is served",
    buckets=JOB_BUCKETS_S,
)
TASKS_ENDED = Counter("pricing_tasks_ended", "Attempts at background jobs by outcome", ["actor", "outcome"])
EVENTS_RECEIVED = Counter("pricing_events_received", "Market events taken from the channel", ["outcome"])
EVENTS_COMPLETED = Counter("pricing_events_completed", "Market events by their final status", ["status"])
STALE_WRITES = Counter(
    "pricing_stale_writes_refused", "Refused writes of workers whose partition another worker had taken over"
)
LOCK_WAIT = Histogram(
    "pricing_lock_wait_seconds",
    "Time of the statements that lock products, with their wait for other locks: of a message's events or a partition",
    ["rows"],
    buckets=JOB_BUCKETS_S,
)
LOCK_REFUSALS = Counter("pricing_lock_refusals", "Recalculations that the lock refused because another one ran")
LOCK_LOSSES = Counter("pricing_lock_losses", "Renewals of the lock that failed because another task held it")
QUARANTINES = Counter("pricing_quarantined", "Jobs that crashed their workers three times and failed", ["kind"])
RUN_DURATION = Histogram(
    "pricing_run_duration_seconds",
    "Time from a recalculation's first start to its end",
    buckets=(0.1, 0.5, 1, 5, 15, 30, 60, 120, 300, 600, 1800),
)
STAGE_SECONDS = Counter(
    "pricing_repricing_stage_seconds",
    "Time of bulk decisions by stage: reading (with the locks), deciding, writing, committing, putting",
    ["stage"],
)
PARTITION_PRODUCTS = Histogram(
    "pricing_partition_products", "Products decided per partition of a run", buckets=(1, 10, 100, 500, 1000)
)
MESSAGES_ENQUEUED = Counter("pricing_messages_enqueued", "Messages enqueued by the listener", ["actor", "reason"])
MARKET_SUBSCRIPTION_UP = Gauge(
    "pricing_market_events_subscription_up",
    "Whether the listener's subscription to market_events answers its pings",
    multiprocess_mode="livemin",
)
SUBSCRIPTION_LOSSES = Counter("pricing_market_events_subscription_losses", "Losses of the listener's subscription")
MESSAGES_REFUSED = Counter(
    "pricing_channel_messages_refused", "Messages of the channel for which the listener's backlog had no room"
)
LISTENER_ACTIVE = Gauge("pricing_listener_active", "Whether this listener holds the lease", multiprocess_mode="livesum")
SWEPT_AT = Gauge(
    "pricing_sweep_timestamp_seconds", "Time of the listener's last sweep for waiting work", multiprocess_mode="livemax"
)
LOOP_TURNED = Gauge(
    "pricing_loop_turn_timestamp_seconds",
    "Time of the last turn of a loop of the workers or the listener; of several processes the oldest",
    ["loop"],
    multiprocess_mode="livemin",
)
LOOP_SUCCEEDED = Gauge(
    "pricing_loop_success_timestamp_seconds",
    "Time of the last turn that ended without an error; of several processes the oldest",
    ["loop"],
    multiprocess_mode="livemin",
)
PROCESSES = Gauge("pricing_processes", "Live processes", ["service", "version"], multiprocess_mode="livesum")
CLOCK_OFFSET = Gauge(
    "pricing_clock_offset_seconds",
    "Time by which the host's clock is ahead of PostgreSQL's, negative: behind it; measured every 15 s",
    multiprocess_mode="livemostrecent",
)
SPANS_LOST = Counter("pricing_spans_lost", "Spans that could not be exported")
AUDIT_LOST = Counter("pricing_audit_entries_lost", "Writes whose entry in the audit log could not be stored")
LOOP_ERRORS = Counter("pricing_loop_errors", "Errors that a process's outermost loop has survived", ["error"])


def observe_requests(method: str, route: str, status: int, source: str, seconds: Sequence[float]) -> None:
    """Observe several requests of one series of `HTTP_DURATION`.

    This is one write per bucket and one for the sum, for which the library has no method.
    """
    series, ordered, counted = HTTP_DURATION.labels(method, route, status, source), sorted(seconds), 0
    for bound, bucket in zip(series._upper_bounds, series._buckets, strict=True):
        if below := bisect_right(ordered, bound) - counted:
            bucket.inc(below)
            counted += below
    series._sum.inc(sum(ordered))


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Count the time of a block for a stage of bulk decisions."""
    begun = time.perf_counter()
    try:
        yield
    finally:
        STAGE_SECONDS.labels(name).inc(time.perf_counter() - begun)
