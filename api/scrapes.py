"""Scrapes of /metrics: shared by their callers, so that many of them cost no more than one."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

# After a scrape, the process does other things for so many times its duration, and at most this long.
PAUSE, LONGEST_PAUSE_S = 9, 1.0


class Scrapes:
    """Collects the metrics in one thread, in a tenth of its time at most.

    No answer is older than its request: callers that come during a scrape share the next one.
    """

    def __init__(self, collect: Callable[[], bytes]) -> None:
        """Scrapes of one process.

        Args:
            collect: Returns the metrics as text; runs on a thread.
        """
        self._collect = collect
        self._thread = ThreadPoolExecutor(1, "metrics")
        self._turn = asyncio.Lock()
        self._coming: asyncio.Task[bytes] | None = None
        self._free_at = 0.0

    async def text(self) -> bytes:
        """The metrics of this moment."""
        if self._coming is None:
            self._coming = asyncio.create_task(self._scrape())
        # One caller that goes away ends no other's scrape.
        return await asyncio.shield(self._coming)

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False)

    async def _scrape(self) -> bytes:
        loop = asyncio.get_running_loop()
        async with self._turn:
            await asyncio.sleep(max(0.0, self._free_at - loop.time()))
            self._coming, began = None, loop.time()
            try:
                return await loop.run_in_executor(self._thread, self._collect)
            finally:
                self._free_at = loop.time() + min(PAUSE * (loop.time() - began), LONGEST_PAUSE_S)
