"""Lanes: requests that cannot starve those of another lane, each with a number of its own and its own threads."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, ParamSpec, TypeVar

from shared.errors import Overloaded
from shared.telemetry.metrics import REQUESTS_SHED

P = ParamSpec("P")
T = TypeVar("T")

Lane = Literal["health", "metrics", "prices", "reads", "writes"]
Threads = Lane | Literal["feed"]
# Callers of /metrics share scrapes, and need no more.
MOST_SCRAPES = 64
READ_THREADS = WRITE_THREADS = 8
FEED_THREADS = 2

_current: ContextVar[Threads] = ContextVar("lane", default="reads")


def is_write() -> bool:
    """Whether the current request is one of the lane of writes."""
    return _current.get() == "writes"


@contextmanager
def on_feed_threads() -> Iterator[None]:
    """Calls of threads by tasks that begin within the block use those of the market-data feed, which is slow."""
    former = _current.set("feed")
    try:
        yield
    finally:
        _current.reset(former)


class Lanes:
    """Counts the requests under way, and refuses those of a lane that is full. Health is never refused."""

    def __init__(self, most: int = 256) -> None:
        """Lanes of one process.

        Args:
            most: The largest number of requests under way in a lane.
        """
        self._most = {"health": float("inf"), "metrics": min(MOST_SCRAPES, most)} | dict.fromkeys(
            ("prices", "reads", "writes"), most
        )
        self._under_way: Counter[Lane] = Counter()

    @property
    def are_empty(self) -> bool:
        """Whether no request is under way."""
        return not any(self._under_way.values())

    @contextmanager
    def taken(self, lane: Lane) -> Iterator[None]:
        """Count a request in its lane within the block; its calls of threads use the lane's.

        Raises:
            Overloaded: the lane is full.
        """
        if self._under_way[lane] >= self._most[lane]:
            REQUESTS_SHED.labels(lane).inc()
            raise Overloaded(f"too many {lane} are under way in this process")
        self._under_way[lane] += 1
        former = _current.set(lane)
        try:
            yield
        finally:
            _current.reset(former)
            self._under_way[lane] -= 1


class LaneThreads(ThreadPoolExecutor):
    """Threads of handlers: writes have their own, and so have requests to the market-data feed."""

    def __init__(self) -> None:
        super().__init__(READ_THREADS, "reads")
        self._others: dict[Threads, ThreadPoolExecutor] = {
            "writes": ThreadPoolExecutor(WRITE_THREADS, "writes"),
            "feed": ThreadPoolExecutor(FEED_THREADS, "feed"),
        }

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a call on a thread of the current request's lane."""
        threads = self._others.get(_current.get())
        return super().submit(fn, *args, **kwargs) if threads is None else threads.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the threads."""
        for threads in self._others.values():
            threads.shutdown(wait, cancel_futures=cancel_futures)
        super().shutdown(wait, cancel_futures=cancel_futures)
