"""The timing of requests: by method, route template, status and source of the prices."""

import asyncio
import time
from collections import defaultdict

from shared.telemetry.metrics import observe_requests

# A route of prices sets this key of the scope's state: `cache` where every sheet was cached, else `database`.
SOURCE = "pricing_source"
METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}
# Requests reach the metrics in batches, at most this late. One by one each would cost as much as a price's look-up.
FLUSH_INTERVAL_S = 0.05

# Durations by the labels of their series.
_waiting: defaultdict[tuple[str, str, int, str], list[float]] = defaultdict(list)


def observe(method: str, route: str, status: int, source: str, started: float) -> None:
    """Count a request that began at `started`, a `time.perf_counter` value; call it on the event loop."""
    if not _waiting:
        asyncio.get_running_loop().call_later(FLUSH_INTERVAL_S, flush)
    known = method if method in METHODS else "other"
    _waiting[known, route, status, source].append(time.perf_counter() - started)


def flush() -> None:
    """Add the waiting durations to the metrics; runs on the event loop, and once more when the process ends."""
    for labels, seconds in _waiting.items():
        observe_requests(*labels, seconds)
    _waiting.clear()
