"""Runs that are caught in the act: the market-data feed is asked by whoever has a part of a run in hand."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from tests.chaos.context import Context
from tests.support.trap import process_at
from tests.support.waiting import eventually

ANSWER_DELAY_S = 0.3  # of the feed, so that a run takes its time; below the engine's timeout


@dataclass(frozen=True)
class Caught:
    """A part of a run, and the process that had it in hand: it has asked the feed, and decided nothing yet."""

    task_id: str
    process: psutil.Process
    product_id: str


@contextmanager
def slow_feed(context: Context, delay_s: float = ANSWER_DELAY_S) -> Iterator[None]:
    """Let the feed take its time within the block."""
    feed = context.environment.feed
    feed.delay_s = delay_s
    try:
        yield
    finally:
        feed.delay_s, feed.asked = 0.0, lambda port, product_ids: None
        feed.requests.clear()


def caught(context: Context, nth: int, act: Callable[[psutil.Process], object] = lambda process: None) -> Caught:
    """Start a run in which every plain price changes, and catch who asks the feed as the nth in it.

    Args:
        nth: Counted from 1.
        act: Done to that process before the feed answers it.
    """
    plain = set(context.catalogue.plain)
    hands: list[tuple[psutil.Process, str]] = []
    counting, seen = threading.Lock(), 0

    def asked(port: int, product_ids: list[str]) -> None:
        nonlocal seen
        with counting:
            seen += 1
            if seen < nth or hands:
                return
            if process := process_at(port, context.environment.apps.family("worker")):
                act(process)
                hands.append((process, next(product_id for product_id in product_ids if product_id in plain)))

    context.environment.feed.asked = asked
    task_id = context.recalculate()
    process, product_id = eventually(lambda: hands, "a worker has a part of the run in hand")[0]
    return Caught(task_id, process, product_id)
