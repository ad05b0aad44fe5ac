"""Requests are observed a moment late, by their series."""

import asyncio
import time

import pytest
from prometheus_client import REGISTRY

from api.edge import metrics


def observed(method: str, what: str = "count") -> float:
    labels = {"method": method, "route": "/edge-metrics", "status": "200", "source": ""}
    return REGISTRY.get_sample_value(f"http_request_duration_seconds_{what}", labels) or 0.0


def observe(method: str, seconds: float = 0.0) -> None:
    """Observe a request that ended now after so many seconds."""
    metrics.observe(metrics.series(method, "/edge-metrics", 200, ""), time.monotonic() - seconds)


@pytest.fixture(autouse=True)
def nothing_waits() -> None:
    metrics.flush()


def test_requests_are_in_the_metrics_a_moment_later_without_anything_else_to_do() -> None:
    async def several() -> float:
        for _ in range(3):
            observe("GET")
        at_once = observed("GET")
        await until_flushed()
        return at_once

    before = observed("GET")
    assert asyncio.run(several()) == before
    assert observed("GET") == before + 3


async def until_flushed() -> None:
    async with asyncio.timeout(30):
        while any(metrics._waiting.values()):
            await asyncio.sleep(0)


def test_their_time_is_that_since_they_began() -> None:
    async def one() -> None:
        observe("PUT", seconds=100.0)
        metrics.flush()

    asyncio.run(one())
    assert 100 <= observed("PUT", "sum") < 200


def test_a_method_that_http_does_not_have_makes_no_series_of_its_own() -> None:
    async def one() -> None:
        observe("BREW")
        metrics.flush()

    before = observed("other")
    asyncio.run(one())
    assert (observed("BREW"), observed("other")) == (0, before + 1)
