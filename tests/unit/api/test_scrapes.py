"""Callers of /metrics share scrapes, and get none that is older than their request."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest

from api.scrapes import Scrapes


class Source:
    """Metrics that count how often they were collected."""

    def __init__(self) -> None:
        self.collected = 0
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def __call__(self) -> bytes:
        self.collected += 1
        number = self.collected
        assert self.may_go_on.wait(60)
        return b"%d" % number


def scraping(source: Callable[[], bytes], use: Callable[[Scrapes], Coroutine[Any, Any, None]]) -> None:
    async def go() -> None:
        scrapes = Scrapes(source)
        try:
            await use(scrapes)
        finally:
            scrapes.close()

    asyncio.run(go())


def test_each_scrape_is_of_its_own_moment() -> None:
    async def use(scrapes: Scrapes) -> None:
        assert [await scrapes.text() for _ in range(3)] == [b"1", b"2", b"3"]

    scraping(Source(), use)


def test_callers_during_a_scrape_share_the_next_one() -> None:
    source = Source()

    async def use(scrapes: Scrapes) -> None:
        source.may_go_on.clear()
        first = asyncio.create_task(scrapes.text())
        while not source.collected:
            await asyncio.sleep(0.001)
        others = [asyncio.create_task(scrapes.text()) for _ in range(200)]
        await asyncio.sleep(0)
        source.may_go_on.set()
        assert await first == b"1"
        assert set(await asyncio.gather(*others)) == {b"2"}
        assert source.collected == 2

    scraping(source, use)


def test_a_caller_that_goes_away_leaves_the_others_their_scrape() -> None:
    source = Source()

    async def use(scrapes: Scrapes) -> None:
        source.may_go_on.clear()
        gone, stays = (asyncio.create_task(scrapes.text()) for _ in range(2))
        while not source.collected:
            await asyncio.sleep(0.001)
        gone.cancel()
        source.may_go_on.set()
        assert await stays == b"1"

    scraping(source, use)


def test_a_scrape_that_fails_is_told_to_its_callers_and_the_next_one_is_tried() -> None:
    answers = iter([ValueError("broken"), None])

    def collect() -> bytes:
        if error := next(answers):
            raise error
        return b"whole"

    async def use(scrapes: Scrapes) -> None:
        with pytest.raises(ValueError, match="broken"):
            await scrapes.text()
        assert await scrapes.text() == b"whole"

    scraping(collect, use)


def test_scrapes_leave_the_process_most_of_its_time() -> None:
    """By the pauses between scrapes, which are nine times as long as the scrapes."""
    spans: list[tuple[float, float]] = []

    def collect() -> bytes:
        began = time.monotonic()
        time.sleep(0.005)
        spans.append((began, time.monotonic()))
        return b""

    async def use(scrapes: Scrapes) -> None:
        for _ in range(3):
            await scrapes.text()

    scraping(collect, use)
    for (began, ended), (after, _) in pairwise(spans):
        assert after - ended >= 8 * (ended - began)
