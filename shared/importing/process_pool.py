"""The process pool: several processes check the chunks of a long file."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from typing import TypeVar

from shared.importing.chunks import Chunk
from shared.importing.columns import RefusedFile

T = TypeVar("T")

PROCESSES = min(os.cpu_count() or 1, 8)


def checked(check: Callable[[Chunk], T], chunks: Iterator[Chunk]) -> Iterator[T]:
    """The checked chunks in their order; only a few are in memory, whatever the file's size.

    Args:
        check: Checks a chunk; it can be sent to another process.
        chunks: The chunks.

    Raises:
        RefusedFile: a process that checked rows was killed.
    """
    first = list(islice(chunks, 2))
    if len(first) < 2:
        yield from map(check, first)
        return
    try:
        yield from _checked_by_pool(check, chain(first, chunks))
    except BrokenProcessPool:
        raise RefusedFile("a process that checked its rows was killed") from None


def _checked_by_pool(check: Callable[[Chunk], T], chunks: Iterable[Chunk]) -> Iterator[T]:
    waiting: deque[Future[T]] = deque()
    # Not forked: a child would hold the connection to PostgreSQL open after its parent was killed.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, context, initializer=_begin) as pool:
        for chunk in chunks:
            waiting.append(pool.submit(check, chunk))
            if len(waiting) > PROCESSES:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _begin() -> None:
    """Ignore Ctrl-C, which the parent handles; end with the parent, instead of waiting for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
    os._exit(1)
