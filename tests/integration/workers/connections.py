"""A pool whose user crashes, or loses something, at a point of its work."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import psycopg

from shared.postgres.pools import Conn, Pool


class Connections:
    """Passes on a pool's connections, counted from 1 on, and calls back before each.

    Attributes:
        crash_at: From this connection on PostgreSQL gets nothing more, as if the process were gone.
    """

    def __init__(
        self, pool: Pool, before: Callable[[int], None] = lambda number: None, crash_at: int | None = None
    ) -> None:
        self._pool, self._before = pool, before
        self._number, self.crash_at = 0, crash_at

    def connection(self) -> AbstractContextManager[Conn]:
        self._number += 1
        if self.crash_at is not None and self._number >= self.crash_at:
            raise psycopg.OperationalError("the process is gone")
        self._before(self._number)
        return self._pool.connection()
