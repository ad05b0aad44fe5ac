"""Bulkheads: requests that cannot starve those of another kind, each with a number of its own and its own threads."""

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

Traffic = Literal["console", "health", "metrics", "overviews", "prices", "reads", "streams", "writes"]
Threads = Traffic | Literal["feed"]
# Callers of /metrics share scrapes, and need no more.
MOST_SCRAPES = 64
READ_THREADS = WRITE_THREADS = 8
FEED_THREADS = 2
# People read pages one at a time: the console takes little from everything else.
MOST_PAGES, MOST_OVERVIEWS, CONSOLE_THREADS = 32, 32, 3
# Pages, and the stream of the overview.
OF_CONSOLE: tuple[Traffic, ...] = ("console", "overviews")

_current: ContextVar[Threads] = ContextVar("kind", default="reads")


def is_write() -> bool:
    """Whether the current request is a write."""
    return _current.get() == "writes"


def is_of_console() -> bool:
    """Whether the current request is one of the console, to read or to write."""
    return _current.get() in OF_CONSOLE


@contextmanager
def on_feed_threads() -> Iterator[None]:
    """Calls of threads by tasks that begin within the block use those of the market-data feed, which is slow."""
    former = _current.set("feed")
    try:
        yield
    finally:
        _current.reset(former)


class Bulkheads:
    """Counts the requests under way, and refuses those of a kind that has its number. Health is never refused."""

    def __init__(self, most: int = 256, most_streams: int = 1_000) -> None:
        """Bulkheads of one process.

        Args:
            most: The largest number of requests under way of a kind.
            most_streams: The largest number of open streams.
        """
        self._most = {"health": float("inf"), "streams": most_streams} | dict.fromkeys(
            ("prices", "reads", "writes"), most
        )
        self._most |= {"metrics": min(MOST_SCRAPES, most), "console": min(MOST_PAGES, most)}
        self._most["overviews"] = min(MOST_OVERVIEWS, most_streams)
        self._under_way: Counter[Traffic] = Counter()

    @property
    def are_empty(self) -> bool:
        """Whether no request is under way."""
        return not any(self._under_way.values())

    @contextmanager
    def taken(self, kind: Traffic) -> Iterator[None]:
        """Count a request of a kind within the block; its calls of threads use the kind's own.

        Raises:
            Overloaded: the kind has its number.
        """
        if self._under_way[kind] >= self._most[kind]:
            REQUESTS_SHED.labels(kind).inc()
            raise Overloaded(f"too many {kind} are under way in this process")
        self._under_way[kind] += 1
        former = _current.set(kind)
        try:
            yield
        finally:
            _current.reset(former)
            self._under_way[kind] -= 1


class BulkheadThreads(ThreadPoolExecutor):
    """Threads of handlers: writes, the console and requests to the market-data feed have their own."""

    def __init__(self) -> None:
        super().__init__(READ_THREADS, "reads")
        self._others: dict[Threads, ThreadPoolExecutor] = {
            "writes": ThreadPoolExecutor(WRITE_THREADS, "writes"),
            "feed": ThreadPoolExecutor(FEED_THREADS, "feed"),
        }
        self._others |= dict.fromkeys(OF_CONSOLE, ThreadPoolExecutor(CONSOLE_THREADS, "console"))

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a call on a thread of the current request's kind."""
        threads = self._others.get(_current.get())
        return super().submit(fn, *args, **kwargs) if threads is None else threads.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the threads."""
        for threads in self._others.values():
            threads.shutdown(wait, cancel_futures=cancel_futures)
        super().shutdown(wait, cancel_futures=cancel_futures)
