"""Batches concurrent look-ups, and looks each key up once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextvars import Context, copy_context
from typing import Generic, TypeVar

from opentelemetry import trace

K = TypeVar("K")
V = TypeVar("V")

Load = Callable[[list[K]], Awaitable[Mapping[K, V]]]


class Batcher(Generic[K, V]):
    """Batches the keys requested in one turn of the event loop, or while other look-ups run.

    Each key is looked up once, however many callers wait for it (single-flight). At most `max_concurrency` look-ups
    run at a time. A look-up runs in the context of the first caller whose trace is recorded, if there is one: its
    spans are then in that trace.
    """

    def __init__(self, load: Load[K, V], max_concurrency: int, batch: int) -> None:
        """A batcher of a look-up.

        Args:
            load: Looks up at most `batch` distinct keys; keys missing from its result do not exist.
            max_concurrency: The largest number of look-ups at a time.
            batch: The largest number of keys in one look-up.
        """
        self._load, self._max_concurrency, self._batch = load, max_concurrency, batch
        self._waiters: dict[K, list[asyncio.Future[V | None]]] = {}
        self._queue: list[K] = []
        self._recorded: Context | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._is_due = False

    async def get_all(self, keys: Iterable[K]) -> dict[K, V]:
        """The values of the keys that exist. Raises the error of a look-up."""
        queued = len(self._queue)
        futures = {key: self.get(key) for key in keys}
        if self._recorded is None and len(self._queue) > queued and trace.get_current_span().is_recording():
            self._recorded = copy_context()
        await asyncio.gather(*futures.values())
        return {key: value for key, future in futures.items() if (value := future.result()) is not None}

    def get(self, key: K) -> "asyncio.Future[V | None]":
        """A future of a key's value, None where the key does not exist. It raises the error of the look-up.

        For callers whose trace is not recorded. Each caller has a future of its own, and may cancel it without
        effect on the others.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[V | None] = loop.create_future()
        if waiters := self._waiters.get(key):
            waiters.append(future)
            return future
        self._waiters[key] = [future]
        self._queue.append(key)
        if not self._is_due:
            self._is_due = True
            loop.call_soon(self._start)
        return future

    def _start(self) -> None:
        self._is_due = False
        while self._queue and len(self._running) < self._max_concurrency:
            keys, self._queue = self._queue[: self._batch], self._queue[self._batch :]
            context, self._recorded = self._recorded or Context(), None
            task = asyncio.get_running_loop().create_task(self._look_up(keys), context=context)
            self._running.add(task)
            task.add_done_callback(self._end)

    def _end(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        self._start()

    async def _look_up(self, keys: list[K]) -> None:
        try:
            values = await self._load(keys)
        except asyncio.CancelledError:
            for _, future in self._take(keys):
                future.cancel()
            raise
        except Exception as error:  # noqa: BLE001 # it is raised in each caller
            for _, future in self._take(keys):
                future.set_exception(error)
        else:
            for key, future in self._take(keys):
                future.set_result(values.get(key))

    def _take(self, keys: list[K]) -> "Iterator[tuple[K, asyncio.Future[V | None]]]":
        """Remove the futures that still wait for these keys; a later request causes another look-up."""
        for key in keys:
            yield from ((key, future) for future in self._waiters.pop(key) if not future.done())
