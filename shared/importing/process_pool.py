"""Sharing: the chunks of a long file are checked by several processes."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice

from shared.importing.checking import Check, Checked
from shared.importing.chunks import Chunk
from shared.importing.columns import RefusedFile

PROCESSES = min(os.cpu_count() or 1, 8)


def checked(check: Check, chunks: Iterator[Chunk]) -> Iterator[Checked]:
    """The chunks in their order; a few of them are in work at once, whatever the file's size.

    Raises:
        RefusedFile: a process that checked rows was killed.
    """
    first = list(islice(chunks, 2))
    if len(first) < 2:
        yield from map(check.checked, first)
        return
    try:
        yield from _shared_out(check, chain(first, chunks))
    except BrokenProcessPool:
        raise RefusedFile("a process that checked its rows was killed") from None


def _shared_out(check: Check, chunks: Iterable[Chunk]) -> Iterator[Checked]:
    waiting: deque[Future[Checked]] = deque()
    # Not forked: a child would hold the connection to PostgreSQL open after its parent was killed.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, context, initializer=_begin) as pool:
        for chunk in chunks:
            waiting.append(pool.submit(check.checked, chunk))
            if len(waiting) > PROCESSES:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _begin() -> None:
    """Ctrl-C is the parent's affair; and a process whose parent was killed would wait for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
    os._exit(1)
