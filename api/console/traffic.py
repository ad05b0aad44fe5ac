"""The traffic of price queries, from the difference of two scrapes of the instance's own metrics."""

import re
import time
from collections import Counter
from typing import NamedTuple

from api.http.answers import PRICE_PATH, PRICES_PATH
from api.scrapes import Scrapes

# A scrape costs some 10 ms of the process: however many people look, there is one within this time.
SHORTEST_S = 1.5
# Figures of a longer time say little about now.
LONGEST_S = 60.0
_ROUTES = "|".join(re.escape(path) for path in (PRICE_PATH, PRICES_PATH))
_BUCKET = re.compile(
    rf'^http_request_duration_seconds_bucket{{le="([^"]+)",method="POST",route="(?:{_ROUTES})",'
    r'source="([^"]*)",status="(\d+)"} (\S+)$',
    re.MULTILINE,
)


class Traffic(NamedTuple):
    """Price queries of this instance lately; None: there were none.

    Attributes:
        per_s: Requests a second.
        p95_ms: The bound of the histogram's bucket below which 95 of 100 requests lasted.
        hit_rate: The share that was answered from caches, 0 to 1.
        failed: Requests that ended with 500 or above.
    """

    per_s: float
    p95_ms: float | None
    hit_rate: float | None
    failed: int


class _Sample(NamedTuple):
    at: float
    buckets: Counter[tuple[float, str, str]]


class Watch:
    """Keeps the last scrape of a process."""

    def __init__(self) -> None:
        self._former: _Sample | None = None
        self._seen: Traffic | None = None

    async def traffic(self, scrapes: Scrapes) -> Traffic | None:
        """The traffic since the last look; None at the first one."""
        if self._former is not None and time.monotonic() - self._former.at < SHORTEST_S:
            return self._seen
        sample = _sample((await scrapes.text()).decode())
        former, self._former = self._former, sample
        is_fresh = former is not None and sample.at - former.at <= LONGEST_S
        self._seen = _between(former, sample) if former is not None and is_fresh else None
        return self._seen


def _sample(text: str) -> _Sample:
    buckets: Counter[tuple[float, str, str]] = Counter()
    for bound, source, status, value in _BUCKET.findall(text):
        buckets[float(bound), source, status] += int(float(value))
    return _Sample(time.monotonic(), buckets)


def _between(former: _Sample, latter: _Sample) -> Traffic:
    grown = latter.buckets - former.buckets
    by_bound: Counter[float] = Counter()
    by_source: Counter[str] = Counter()
    failed = 0
    for (bound, source, status), number in grown.items():
        by_bound[bound] += number
        if bound == float("inf"):
            by_source[source] += number
            failed += number if status >= "500" else 0
    total = by_bound[float("inf")]
    answered = by_source["cache"] + by_source["database"]
    p95 = next((bound for bound in sorted(by_bound) if by_bound[bound] >= 0.95 * total), None) if total else None
    return Traffic(
        per_s=total / (latter.at - former.at),
        p95_ms=None if p95 is None else p95 * 1000,
        hit_rate=by_source["cache"] / answered if answered else None,
        failed=failed,
    )
