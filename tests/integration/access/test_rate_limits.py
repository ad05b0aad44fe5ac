"""Buckets in Redis hold over all processes, and nothing is refused while Redis is away."""

import asyncio
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from uuid import uuid4

import httpx
import pytest
import redis

from shared.access.rate_limits import BURST_S, Kind, RateLimits
from shared.messaging import clients
from shared.settings import Settings
from tests.support.api_server import ApiServer, serving
from tests.support.metrics import counted
from tests.support.proxy import proxy_to
from tests.support.waiting import eventually

PER_S = 25
SECONDS = 16
PROCESSES = 4
CALLERS = 8


@pytest.fixture
def server(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    limits = {"PRICING_WRITES_PER_S": PER_S, "PRICING_FAILED_KEYS_PER_S": 1, "PRICING_LIMIT_LOOPBACK": "true"}
    home = tmp_path_factory.mktemp("api")
    with serving(settings, home, PRICING_API_PROCESSES=PROCESSES, **limits) as server:
        yield server


def taken(url: str, kind: Kind, caller: str, times: int) -> list[bool | None]:
    """Whether each of some requests was refused; None: nothing limited it."""

    async def go() -> list[bool | None]:
        client = clients.cache_client(url, "tests")
        limits = RateLimits(client, {"writes": 1, "lists": 1, "failed-keys": 0})
        found = [await limits.take(kind, caller) for _ in range(times)]
        await client.aclose()
        return [None if each is None else each.is_exceeded for each in found]

    return asyncio.run(go())


def test_a_bucket_is_shared_and_each_caller_and_kind_has_its_own(settings: Settings) -> None:
    url, caller = settings.redis_for("cache"), uuid4().hex
    assert taken(url, "writes", caller, 1) == [False]
    assert taken(url, "writes", caller, BURST_S + 1)[-1] is True
    assert taken(url, "lists", caller, 1) == [False]
    assert taken(url, "writes", uuid4().hex, 1) == [False]


def test_a_kind_without_a_limit_is_not_limited(settings: Settings) -> None:
    assert taken(settings.redis_for("cache"), "failed-keys", uuid4().hex, 10) == [None] * 10


def test_buckets_expire(settings: Settings, cache: redis.Redis) -> None:
    caller = uuid4().hex
    taken(settings.redis_for("cache"), "writes", caller, 1)
    [name] = cache.keys(f"pricing:rate:*{caller}")
    assert 0 < cache.ttl(name) <= BURST_S + 1


def test_while_redis_is_away_nothing_is_refused_and_that_is_counted(settings: Settings) -> None:
    with proxy_to(settings.redis_for("cache")) as proxy:
        url = proxy.url()
        proxy.shut()
        before = counted("pricing_rate_limits_skipped_total")
        assert taken(url, "writes", uuid4().hex, 3 * BURST_S) == [None] * 3 * BURST_S
        assert counted("pricing_rate_limits_skipped_total") == before + 3 * BURST_S


@pytest.mark.long
def test_a_rate_holds_over_four_processes(settings: Settings, server: ApiServer, cache: redis.Redis) -> None:
    """Time is Redis', which fills the bucket. An interval counts if its callers always left the bucket below half."""
    answers: list[tuple[int, int]] = []
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            # A connection of its own each time, so that any of the processes may answer.
            with closing(HTTPConnection("127.0.0.1", server.port, timeout=60)) as http:
                http.request("DELETE", f"/api/v1/tasks/{uuid4()}", headers=server.authorized)
                answer = http.getresponse()
            left = re.fullmatch(r'"writes";r=(\d+);t=\d+', answer.headers["ratelimit"])
            assert left
            assert answer.status in {404, 429}
            answers.append((answer.status, int(left[1])))

    def now() -> float:
        seconds, micros = cache.time()
        return float(seconds) + float(micros) / 1e6

    def measured() -> tuple[int, float] | None:
        began, before = now(), len(answers)
        eventually(lambda: now() - began > SECONDS, "the interval")
        seconds, within = now() - began, answers[before:]
        is_busy = max(left for _, left in within) < PER_S * BURST_S / 2
        return (sum(status == 404 for status, _ in within), seconds) if is_busy else None

    with ThreadPoolExecutor(CALLERS) as callers:
        writers = [callers.submit(write) for _ in range(CALLERS)]
        try:
            eventually(lambda: any(status == 429 for status, _ in answers), "the bucket has been emptied")
            count, seconds = eventually(measured, "an interval with callers enough", deadline_s=120)
        finally:
            stop.set()
        for writer in writers:
            writer.result()
    # At each end of the interval, an answer of each caller may be on its way.
    assert count == pytest.approx(PER_S * seconds, rel=0.02, abs=CALLERS)


def test_keys_that_fail_are_refused_after_some_tries(server: ApiServer) -> None:
    with httpx.Client(base_url=server.url, trust_env=False, timeout=60) as http:

        def status() -> int:
            return http.get("/api/v1/tasks", headers={"authorization": "Bearer wrong"}).status_code

        seen = eventually(lambda: status() == 429 or None, "the bucket of failed keys is empty")
        assert seen
        # Others are not: a valid key from the same address works.
        assert http.get("/api/v1/tasks/nothing", headers=server.authorized).status_code == 404
