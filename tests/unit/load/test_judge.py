"""The load's judge: quantiles of bucket counts, and what they say about a limit."""

import math
from collections.abc import Iterable

import pytest

from tests.load import histogram, judge, outcome
from tests.load.histogram import CountedBackwards, Histogram
from tests.load.judge import EXIT_CODES, Verdict

INF = math.inf


def observed(*values: float, bounds: Iterable[float] = (0.001, 0.005, 0.01, 0.05, 0.15)) -> Histogram:
    """A histogram of these values, in seconds."""
    return Histogram({bound: float(sum(v <= bound for v in values)) for bound in (*bounds, INF)})


QUIET = observed(*[0.0004] * 100)
SCRAPE = """\
# HELP http_request_duration_seconds Time
# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{le="0.005",method="POST",route="/api/v1/price",source="",status="200"} 7.0
http_request_duration_seconds_bucket{le="+Inf",method="POST",route="/api/v1/price",source="",status="200"} 10.0
http_request_duration_seconds_count{method="POST",route="/api/v1/price",source="",status="200"} 10.0
http_request_duration_seconds_sum{method="POST",route="/api/v1/price",source="",status="200"} 0.1
http_request_duration_seconds_bucket{le="0.005",method="POST",route="/api/v1/price",source="",status="404"} 2.0
http_request_duration_seconds_bucket{le="+Inf",method="POST",route="/api/v1/price",source="",status="404"} 2.0
http_request_duration_seconds_bucket{le="0.005",method="GET",route="/health/live",source="",status="200"} 30.0
http_request_duration_seconds_bucket{le="+Inf",method="GET",route="/health/live",source="",status="200"} 30.0
"""


@pytest.mark.parametrize(
    ("buckets", "share", "expected"),
    [
        ({1.0: 100, INF: 100}, 0.95, 0.95),  # linear from 0 in the first bucket
        ({1.0: 50, 2.0: 100, INF: 100}, 0.5, 1.0),  # exactly at a bound
        ({1.0: 50, 2.0: 100, INF: 100}, 0.75, 1.5),
        ({1.0: 0, 2.0: 0, 4.0: 10, INF: 10}, 0.5, 3.0),  # empty buckets before it
        ({1.0: 90, 2.0: 90, 4.0: 100, INF: 100}, 0.95, 3.0),  # an empty bucket in between
        ({1.0: 90, 2.0: 90, INF: 100}, 0.95, 2.0),  # beyond the highest finite bound
    ],
)
def test_a_quantile_is_linear_within_its_bucket(buckets: dict[float, float], share: float, expected: float) -> None:
    assert Histogram(buckets).quantile(share) == pytest.approx(expected)


def test_of_nothing_there_is_no_quantile() -> None:
    assert math.isnan(Histogram({}).quantile(0.95))
    assert math.isnan(Histogram({1.0: 0, INF: 0}).quantile(0.95))


def test_a_run_is_what_was_counted_since_before_it() -> None:
    since = Histogram({1.0: 60, INF: 100}) - Histogram({1.0: 50, INF: 50})
    assert (since.count, since.quantile(0.2)) == (50, 1.0)
    assert (Histogram({1.0: 1, INF: 1}) - Histogram({})).count == 1


@pytest.mark.parametrize("earlier", [{1.0: 5, INF: 5}, {1.0: 3, INF: 3}, {2.0: 1, INF: 1}])
def test_a_server_that_was_started_anew_is_noticed(earlier: dict[float, float]) -> None:
    with pytest.raises(CountedBackwards):
        Histogram({1.0: 2, INF: 4}) - Histogram(earlier)


def test_a_scrape_is_added_up_over_the_series_that_are_wanted() -> None:
    found = histogram.read(SCRAPE, outcome.HTTP, lambda labels: labels["route"].startswith("/api/v1/"))
    assert found == Histogram({0.005: 9, INF: 12})
    assert histogram.read(SCRAPE, "pricing_no_such_thing") is None


@pytest.mark.parametrize(
    ("limit_s", "measured", "control", "verdict"),
    [
        pytest.param(0.05, observed(*[0.002] * 100), QUIET, Verdict.WITHIN, id="within"),
        pytest.param(0.05, observed(*[0.002] * 90, *[0.1] * 10), QUIET, Verdict.BEYOND, id="beyond"),
        pytest.param(0.05, observed(*[0.002] * 96, *[0.1] * 4), QUIET, Verdict.WITHIN, id="a-few-beyond"),
        pytest.param(0.05, observed(*[0.05] * 100, bounds=(0.05,)), QUIET, Verdict.WITHIN, id="just-below"),
        pytest.param(0.05, observed(*[0.06] * 100, bounds=(0.05,)), QUIET, Verdict.BEYOND, id="at-the-limit"),
        pytest.param(0.005, observed(*[0.1] * 100), observed(*[0.004] * 100), Verdict.INCONCLUSIVE, id="noisy"),
        pytest.param(0.15, observed(*[0.1] * 100), observed(*[0.004] * 100), Verdict.WITHIN, id="not-too-noisy"),
        pytest.param(0.05, observed(), QUIET, Verdict.INCONCLUSIVE, id="no-requests"),
        pytest.param(0.05, QUIET, observed(), Verdict.INCONCLUSIVE, id="no-control"),
        pytest.param(0.05, None, QUIET, Verdict.INCONCLUSIVE, id="not-measured"),
    ],
)
def test_a_limit_is_judged_beside_the_control(
    limit_s: float, measured: Histogram | None, control: Histogram, verdict: Verdict
) -> None:
    judgement = judge.latency(limit_s, measured, control)
    assert judgement.verdict == verdict
    assert bool(judgement.reason) is (verdict != Verdict.WITHIN)


def test_a_failed_request_is_one_too_many() -> None:
    assert judge.failures(0).verdict == Verdict.WITHIN
    assert judge.failures(1).verdict == Verdict.BEYOND


@pytest.mark.parametrize(
    ("verdicts", "exit_code"),
    [
        ([Verdict.WITHIN, Verdict.WITHIN], 0),
        ([Verdict.WITHIN, Verdict.INCONCLUSIVE], 2),
        ([Verdict.INCONCLUSIVE, Verdict.BEYOND, Verdict.WITHIN], 1),
    ],
)
def test_the_exit_code_is_that_of_the_worst_verdict(verdicts: list[Verdict], exit_code: int) -> None:
    assert EXIT_CODES[judge.overall(verdicts)] == exit_code


def entry(name: str, times_ms: dict[str, int], failures: int = 0) -> dict[str, object]:
    """One of Locust's statistics."""
    return {
        "name": name,
        "num_requests": sum(times_ms.values()),
        "num_failures": failures,
        "response_times": times_ms,
    }


def test_hits_and_misses_are_told_apart_on_both_sides() -> None:
    scrape = """\
# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{le="0.005",method="POST",route="/api/v1/price",source="cache",status="200"} 9.0
http_request_duration_seconds_bucket{le="+Inf",method="POST",route="/api/v1/price",source="cache",status="200"} 9.0
http_request_duration_seconds_bucket{le="0.005",method="POST",route="/api/v1/price",source="database",status="200"} 0.0
http_request_duration_seconds_bucket{le="+Inf",method="POST",route="/api/v1/price",source="database",status="200"} 3.0
"""
    client = [entry("price hit", {"1": 8, "4": 1}), entry("price miss", {"9": 3}), entry("control", {"1": 30})]
    found = outcome.of("", scrape, client)
    kinds = {kind.name: kind for kind in found.kinds}
    assert (kinds["cache hits"].requests, kinds["cache misses"].requests, kinds["over all"].requests) == (9, 3, 12)
    assert kinds["cache hits"].client.p95 == 0.004
    assert kinds["cache misses"].client.p50 == 0.009
    misses = kinds["cache misses"].server
    assert misses is not None
    assert misses.p50 == 0.005  # all of them beyond the highest finite bound


def test_failures_count_wherever_they_are() -> None:
    found = outcome.of("", SCRAPE, [entry("price hit", {"1": 9}), entry("event", {"1": 2}, failures=1)])
    assert found.failures.verdict == Verdict.BEYOND
    assert found.verdict == Verdict.BEYOND
