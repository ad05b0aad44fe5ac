"""What a run measured, on both sides, and what that says about the limits."""

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.load import histogram, judge
from tests.load.histogram import Histogram, Labels
from tests.load.judge import Judgement, Verdict

HTTP = "http_request_duration_seconds"
READ_ROUTES = ("/api/v1/price", "/api/v1/prices")
QUANTILES = (0.5, 0.95, 0.99)
HIT_NAMES, MISS_NAMES = ("price hit", "prices hit"), ("price miss", "prices miss", "prices mixed")
READ_NAMES = ("price", "prices", *HIT_NAMES, *MISS_NAMES)  # `price` and `prices` are those that failed


@dataclass(frozen=True)
class Side:
    """One side's quantiles in seconds; NaN where it saw nothing."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True)
class Kind:
    """One kind of request as both sides saw it; a limit in seconds where there is one for its P95."""

    name: str
    requests: int
    failures: int
    client: Side
    server: Side | None
    limit_s: float | None = None
    judgement: Judgement | None = None


@dataclass(frozen=True)
class Outcome:
    """A whole run."""

    kinds: Sequence[Kind]
    failures: Judgement

    @property
    def verdict(self) -> Verdict:
        """Over all limits."""
        return judge.overall([self.failures.verdict, *(k.judgement.verdict for k in self.kinds if k.judgement)])


def of(before: str, after: str, client: Sequence[Mapping[str, Any]]) -> Outcome:
    """What a run measured.

    Args:
        before: A scrape of the server's metrics from before the run.
        after: One from after it.
        client: Locust's statistics, as `--json-file` writes them.

    Raises:
        CountedBackwards: the server was started anew in between.
    """
    measured = _Server(before, after)
    control = measured.routes(lambda route: route == "/health/live")
    reads = measured.routes(READ_ROUTES.__contains__)
    hits = measured.series(lambda labels: labels["source"] == "cache")
    misses = measured.series(lambda labels: labels["source"] == "database")
    kinds = [
        _kind("over all", client, lambda n: n != "control", measured.routes(_is_api), control, 0.150),
        _kind("reads", client, lambda n: n in READ_NAMES, reads, control, 0.050),
        _kind("cache hits", client, lambda n: n in HIT_NAMES, hits, control, 0.005),
        _kind("cache misses", client, lambda n: n in MISS_NAMES, misses),
        *(_kind(name, client, partial(operator.eq, name), None) for name in sorted(_names(client, READ_NAMES))),
        _kind("event", client, lambda n: n == "event", measured.routes(lambda r: r.endswith("/publish-market-event"))),
        _kind("control", client, lambda n: n == "control", control),
    ]
    return Outcome(kinds, judge.failures(sum(entry["num_failures"] for entry in client)))


class _Server:
    def __init__(self, before: str, after: str) -> None:
        self._before, self._after = before, after

    def series(self, wanted: Callable[[Labels], bool]) -> Histogram:
        after = histogram.read(self._after, HTTP, wanted) or Histogram({})
        return after - (histogram.read(self._before, HTTP, wanted) or Histogram({}))

    def routes(self, wanted: Callable[[str], bool]) -> Histogram:
        return self.series(lambda labels: wanted(labels["route"]))


def _is_api(route: str) -> bool:
    return route.startswith("/api/v1/")


def _names(client: Sequence[Mapping[str, Any]], known: Sequence[str]) -> set[str]:
    return {entry["name"] for entry in client} & set(known)


def _kind(
    name: str,
    client: Sequence[Mapping[str, Any]],
    wanted: Callable[[str], bool],
    server: Histogram | None,
    control: Histogram | None = None,
    limit_s: float | None = None,
) -> Kind:
    entries = [entry for entry in client if wanted(entry["name"])]
    judgement = judge.latency(limit_s, server, control) if limit_s is not None and control is not None else None
    return Kind(
        name=name,
        requests=sum(entry["num_requests"] for entry in entries),
        failures=sum(entry["num_failures"] for entry in entries),
        client=_side_of_client(entries),
        server=Side(*(server.quantile(share) for share in QUANTILES)) if server else None,
        limit_s=limit_s,
        judgement=judgement,
    )


def _side_of_client(entries: Sequence[Mapping[str, Any]]) -> Side:
    counts: dict[float, int] = {}
    for entry in entries:
        for value_ms, number in entry["response_times"].items():
            counts[float(value_ms)] = counts.get(float(value_ms), 0) + number
    return Side(*(_nearest_rank(counts, share) / 1000 for share in QUANTILES))


def _nearest_rank(counts: Mapping[float, int], share: float) -> float:
    """Locust keeps how often each whole millisecond occurred, above 100 ms in two digits."""
    rank, seen = math.ceil(share * sum(counts.values())), 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= rank:
            return value
    return math.nan
