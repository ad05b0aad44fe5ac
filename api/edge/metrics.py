"""The timing of requests: by method, route template, status and source of the prices."""

import asyncio
import time

from shared.telemetry.metrics import observe_requests

# A route of prices sets this key of the scope's state: `cache` where every sheet was cached, else `database`.
SOURCE = "pricing_source"
METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}
# Requests reach the metrics in batches, at most this late. One by one each would cost as much as a price's look-up.
FLUSH_INTERVAL_S = 0.05

# Waiting durations by the labels of their series.
_waiting: dict[tuple[str, str, int, str], list[float]] = {}


def series(method: str, route: str, status: int, source: str) -> list[float]:
    """The waiting durations of a series, for `observe`."""
    known = method if method in METHODS else "other"
    return _waiting.setdefault((known, route, status, source), [])


def observe(series: list[float], started: float) -> None:
    """Count a request that began at `started`, a `time.monotonic` value; call it on the event loop."""
    if not series:
        asyncio.get_running_loop().call_later(FLUSH_INTERVAL_S, flush)
    series.append(time.monotonic() - started)


def flush() -> None:
    """Add the waiting durations to the metrics; runs on the event loop, and once more when the process ends."""
    for labels, seconds in _waiting.items():
        if seconds:
            observe_requests(*labels, seconds)
            seconds.clear()
