"""How requests are timed: by method, route template, status, and where the prices came from."""

import asyncio
import time
from collections import defaultdict

from shared.telemetry.metrics import observe_requests

# Where a route says, in the scope's state, that it answered prices: `cache` where every sheet was cached, else
# `database`.
SOURCE = "pricing_source"
METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}
# So late at most is a request in the metrics; one by one they would cost as much as the look-up of a price.
LATE_S = 0.05

# By the series' labels.
_waiting: defaultdict[tuple[str, str, int, str], list[float]] = defaultdict(list)


def observe(method: str, route: str, status: int, source: str, started: float) -> None:
    """Count a request that began at `started`, by `time.perf_counter`; to be called on the event loop."""
    if not _waiting:
        asyncio.get_running_loop().call_later(LATE_S, flush)
    known = method if method in METHODS else "other"
    _waiting[known, route, status, source].append(time.perf_counter() - started)


def flush() -> None:
    """Bring what was counted into the metrics; on the event loop, and once more when the process ends."""
    for labels, seconds in _waiting.items():
        observe_requests(*labels, seconds)
    _waiting.clear()
