"""How requests are timed: by method, route template, status, and where the prices came from."""

import time

from shared.metrics import http_duration

# Where a route says, in the scope's state, that it answered prices: `cache` where every sheet was cached, else
# `database`.
SOURCE = "pricing_source"
METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}


def observe(method: str, route: str, status: int, source: str, started: float) -> None:
    """Count a request that began at `started`, by `time.perf_counter`."""
    known = method if method in METHODS else "other"
    http_duration(known, route, status, source).observe(time.perf_counter() - started)
