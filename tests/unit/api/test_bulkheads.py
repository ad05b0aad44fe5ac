"""A bulkhead that is full refuses its own requests and no others'; reads and writes have their own threads."""

import asyncio
import threading
from contextlib import ExitStack
from typing import Any, cast

import msgspec
import pytest

from api.bulkheads import (
    MOST_OVERVIEWS,
    MOST_SCRAPES,
    READ_THREADS,
    Bulkheads,
    BulkheadThreads,
    Traffic,
    is_of_console,
    on_feed_threads,
)
from api.edge.asgi import Edge
from api.edge.limits import Limits, kind_of
from api.edge.tracing import RequestTraces
from api.http.answers import PRICE_PATH, PRICES_PATH
from shared.errors import Overloaded
from tests.support.metrics import counted
from tests.unit.api.price_examples import Reader
from tests.unit.api.test_edge import Client, fast_path_of

MOST = 3


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("GET", "/health/live", "health"),
        ("GET", "/health/ready", "health"),
        ("GET", "/metrics", "metrics"),
        ("POST", PRICE_PATH, "prices"),
        ("POST", PRICES_PATH, "prices"),
        ("GET", "/console/products", "console"),
        ("GET", "/console/live", "overviews"),
        ("GET", "/api/v1/products/P-1", "reads"),
        ("HEAD", "/docs", "reads"),
        ("OPTIONS", "/api/v1/recalculate", "reads"),
        ("PUT", "/api/v1/products/P-1", "writes"),
        ("POST", "/api/v1/publish-market-event", "writes"),
        ("DELETE", "/api/v1/tasks/1", "writes"),
    ],
)
def test_each_request_has_its_kind(method: str, path: str, kind: Traffic) -> None:
    assert kind_of(cast(Any, {"method": method, "path": path})) == kind


def test_open_overviews_are_few_and_take_no_page_from_the_console() -> None:
    bulkheads = Bulkheads()
    with ExitStack() as stack:
        for _ in range(MOST_OVERVIEWS):
            stack.enter_context(bulkheads.taken("overviews"))
        with pytest.raises(Overloaded, match="overviews"), bulkheads.taken("overviews"):
            pass
        with bulkheads.taken("console"):
            assert is_of_console()


@pytest.mark.parametrize("kind", ["metrics", "prices", "reads", "writes"])
def test_a_full_bulkhead_refuses_its_own_kind_and_no_other(kind: Traffic) -> None:
    bulkheads, before = Bulkheads(MOST), counted("pricing_requests_shed_total", kind=kind)
    with ExitStack() as stack:
        for _ in range(MOST):
            stack.enter_context(bulkheads.taken(kind))
        with pytest.raises(Overloaded, match=kind), bulkheads.taken(kind):
            pass
        for other in {"metrics", "prices", "reads", "writes", "health"} - {kind}:
            with bulkheads.taken(cast(Traffic, other)):
                assert not bulkheads.are_empty
    assert counted("pricing_requests_shed_total", kind=kind) == before + 1
    with bulkheads.taken(kind):
        pass
    assert bulkheads.are_empty


def test_health_is_never_refused() -> None:
    bulkheads = Bulkheads(MOST)
    with ExitStack() as stack:
        for _ in range(MOST_SCRAPES + 1):
            stack.enter_context(bulkheads.taken("health"))


def test_a_request_that_fails_leaves_its_bulkhead() -> None:
    bulkheads = Bulkheads(1)
    for _ in range(2):
        with pytest.raises(ValueError, match="x"), bulkheads.taken("reads"):
            raise ValueError("x")


def test_a_request_beyond_its_bulkhead_is_answered_503_and_may_come_again(reader: Reader) -> None:
    limits = Limits(10, 8000, 1)
    client = Client(reader)
    client.edge = Edge(cast(Any, client.app), fast_path_of(reader), RequestTraces(0, 0, 0, lambda _: None), limits)
    with limits.bulkheads.taken("writes"):
        status, headers = client.answer("/api/v1/recalculate")
        assert (status, headers[b"retry-after"]) == (503, b"1")
        assert msgspec.json.decode(client.sent[-1]["body"])["type"] == "urn:pricing:unavailable"
        assert client.answer("/health/live")[0] == 202
    assert client.answer("/api/v1/recalculate")[0] == 202


def test_reads_do_not_wait_for_the_threads_of_the_feed() -> None:
    async def go() -> None:
        loop, go_on = asyncio.get_running_loop(), threading.Event()
        loop.set_default_executor(BulkheadThreads())
        with Bulkheads().taken("reads"):
            with on_feed_threads():
                slow = [asyncio.create_task(asyncio.to_thread(go_on.wait, 60)) for _ in range(2 * READ_THREADS)]
            await asyncio.sleep(0)
            assert "reads" in await asyncio.to_thread(lambda: threading.current_thread().name)
        go_on.set()
        assert all(await asyncio.gather(*slow))

    asyncio.run(go())


def test_writes_do_not_wait_for_the_threads_of_reads() -> None:
    async def go() -> None:
        loop, bulkheads, go_on = asyncio.get_running_loop(), Bulkheads(), threading.Event()
        threads = BulkheadThreads()
        loop.set_default_executor(threads)
        with bulkheads.taken("reads"):
            reads = [asyncio.create_task(asyncio.to_thread(go_on.wait, 60)) for _ in range(2 * READ_THREADS)]
            await asyncio.sleep(0)
        with bulkheads.taken("writes"):
            assert "writes" in await asyncio.to_thread(lambda: threading.current_thread().name)
        assert not any(read.done() for read in reads)
        go_on.set()
        assert all(await asyncio.gather(*reads))

    asyncio.run(go())
