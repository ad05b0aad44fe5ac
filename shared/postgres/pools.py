"""Connections to PostgreSQL: with every wait bounded."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from psycopg import AsyncConnection, Connection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from shared.errors import DatabaseUnavailable
from shared.postgres.cursors import AsyncTracedCursor, TracedCursor
from shared.settings import Settings

T = TypeVar("T")

POOL_WAIT_S = 2.0
# A connection that cannot be made is given up soon: the next one who wants it tries anew, where the pool alone
# would wait longer and longer.
RECONNECT_S = 2.0
CONNECT_TIMEOUT_S = 2
READ_TIMEOUT_S = 2.0
WRITE_TIMEOUT_MS = 30_000
# Below the lease of a partition: what a frozen process has locked is free again before another one takes over.
IDLE_TIMEOUT_MS = 10_000
LOCK_TIMEOUT_MS = 10_000

# A server whose packets vanish is given up: unacknowledged data after 5 s, a silent connection after 11 s.
# The server's own limits do not end such a wait.
DEAD_AFTER = {
    "tcp_user_timeout": 5_000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}

Conn = Connection[DictRow]
Pool = ConnectionPool[Conn]
AsyncPool = AsyncConnectionPool[AsyncConnection[DictRow]]


def pool(settings: Settings, process: str, size: int) -> Pool:
    """A closed pool for the workers, the listener and the API's writes; `open()` it, `close()` it.

    A statement ends after 30 s, a wait for a lock and a transaction that its holder leaves alone after 10 s,
    a wait for a connection after 2 s with `psycopg_pool.PoolTimeout`.

    Args:
        settings: Gives the database's URL.
        process: Shown as `application_name` in `pg_stat_activity`.
        size: The most connections that it holds.
    """
    return ConnectionPool(
        settings.database_url,
        connection_class=Connection[DictRow],
        kwargs=_options(
            process,
            WRITE_TIMEOUT_MS,
            idle_in_transaction_session_timeout=IDLE_TIMEOUT_MS,
            lock_timeout=LOCK_TIMEOUT_MS,
        )
        | {"cursor_factory": TracedCursor},
        min_size=1,
        max_size=size,
        timeout=POOL_WAIT_S,
        reconnect_timeout=RECONNECT_S,
        check=ConnectionPool.check_connection,
        open=False,
    )


def read_pool(settings: Settings, process: str, size: int) -> AsyncPool:
    """A closed asyncio pool for price queries: as `pool`, but a statement ends after 2 s."""
    return AsyncConnectionPool(
        settings.database_url,
        connection_class=AsyncConnection[DictRow],
        kwargs=_options(process, int(READ_TIMEOUT_S * 1000))
        | {"autocommit": True, "cursor_factory": AsyncTracedCursor},
        min_size=1,
        max_size=size,
        timeout=POOL_WAIT_S,
        reconnect_timeout=RECONNECT_S,
        check=AsyncConnectionPool.check_connection,
        open=False,
    )


async def bounded(work: Coroutine[None, None, T], timeout_s: float = READ_TIMEOUT_S) -> T:
    """The result of a read, or an error in time even where PostgreSQL takes the query and never answers.

    psycopg waits for seconds before it gives up a query that is cancelled; that happens in the background.

    Raises:
        DatabaseUnavailable: not within `timeout_s`.
    """
    task = asyncio.create_task(work)
    _abandoned.add(task)
    task.add_done_callback(_forget)
    await asyncio.wait({task}, timeout=timeout_s)
    if task.done():
        return task.result()
    task.cancel()
    raise DatabaseUnavailable(f"PostgreSQL: no answer within {timeout_s} s")


def connect(settings: Settings, process: str) -> Conn:
    """One connection, for commands: as a context manager it is one transaction, and closes."""
    return Connection[DictRow].connect(settings.database_url, **_options(process, timeout_ms=0))


def _forget(task: asyncio.Task[Any]) -> None:
    _abandoned.discard(task)
    if not task.cancelled():
        task.exception()


_abandoned: set[asyncio.Task[Any]] = set()


def _options(process: str, timeout_ms: int, **more: int) -> dict[str, Any]:
    settings = {"statement_timeout": timeout_ms, "timezone": "UTC"} | more
    return {
        "row_factory": dict_row,
        "application_name": process,
        "connect_timeout": CONNECT_TIMEOUT_S,
        **DEAD_AFTER,
        # Not left to the server: one with the encoding SQL_ASCII would answer bytes for text.
        "client_encoding": "utf8",
        "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
    }
