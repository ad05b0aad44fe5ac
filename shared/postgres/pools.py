"""Connections to PostgreSQL, with every wait bounded."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from psycopg import AsyncConnection, Connection, OperationalError
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from psycopg.pq.abc import PGconn
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from shared.addresses import PRIMARY
from shared.errors import DatabaseUnavailable
from shared.postgres import limits
from shared.postgres.cursors import AsyncTracedCursor, TracedCursor
from shared.postgres.limits import IDLE_TIMEOUT_MS, LOCK_TIMEOUT_MS, WRITE_TIMEOUT_MS
from shared.settings import Settings

T = TypeVar("T")

POOL_WAIT_S = 2.0
# The pool gives up soon on a connection that cannot be made, and the next caller tries again. Otherwise the pool's own
# delays would grow longer and longer.
RECONNECT_S = 2.0
CONNECT_TIMEOUT_S = 2
READ_TIMEOUT_S = 2.0
# A list that finds its page among millions of others gives up sooner.
LIST_TIMEOUT_S = 5

# The client gives up on a server whose packets vanish: with unacknowledged data after 5 s, with a silent connection
# after 11 s. The server's own limits do not end such a wait.
DEAD_AFTER = {
    "tcp_user_timeout": 5_000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}

_NO_WRITES = "the server takes no writes"
_REFUSE_WRITES = (b"in_hot_standby", b"default_transaction_read_only")

# Longer than any statement. It also ends the wait for a proxy that keeps its connection and never answers.
LONGEST_WAIT_S = WRITE_TIMEOUT_MS / 1000 + 5

Conn = Connection[DictRow]
Pool = ConnectionPool[Conn]
AsyncPool = AsyncConnectionPool[AsyncConnection[DictRow]]


class BoundedConnection(Connection[DictRow]):
    """A connection that waits for the server for 35 s at most, in every state of the server and the network.

    The wait ends with `psycopg.OperationalError`, and the connection is closed.
    """

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """As in psycopg, with a limit."""
        try:
            return super().wait(gen, interval, LONGEST_WAIT_S if timeout is None else timeout)
        except OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.close()
            raise


def pool(settings: Settings, process: str, size: int) -> Pool:
    """A closed pool for the workers, the listener and the API's writes; the caller opens and closes it.

    PostgreSQL ends a statement after 30 s, and a wait for a lock or an idle transaction after 10 s. A wait for a
    connection ends after 2 s with `psycopg_pool.PoolTimeout`. Where the server is silent, a wait ends after 35 s.

    Args:
        settings: Contains the database's URL.
        process: The `application_name` in `pg_stat_activity`.
        size: The largest number of connections.
    """
    return ConnectionPool(
        settings.database_url,
        connection_class=BoundedConnection,
        kwargs=_options(
            settings,
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
        configure=limits.check if settings.is_pooled else None,
        check=ConnectionPool.check_connection if settings.is_pooled else check,
        open=False,
    )


def read_pool(settings: Settings, process: str, size: int) -> AsyncPool:
    """A closed asyncio pool for price queries: as `pool`, but a statement ends after 2 s."""
    return AsyncConnectionPool(
        settings.database_url,
        connection_class=AsyncConnection[DictRow],
        kwargs=_options(settings, process, int(READ_TIMEOUT_S * 1000))
        | {"autocommit": True, "cursor_factory": AsyncTracedCursor},
        min_size=1,
        max_size=size,
        timeout=POOL_WAIT_S,
        reconnect_timeout=RECONNECT_S,
        configure=limits.check_async if settings.is_pooled else None,
        check=AsyncConnectionPool.check_connection if settings.is_pooled else check_async,
        open=False,
    )


def check(conn: Conn) -> None:
    """Raise OperationalError where the connection is broken, or its server takes no writes any more.

    The pool makes another connection in place of a closed one: to the new primary, where the address has it.
    """
    ConnectionPool.check_connection(conn)
    if _refuses_writes(conn.pgconn):
        conn.close()
        raise OperationalError(_NO_WRITES)


async def check_async(conn: AsyncConnection[DictRow]) -> None:
    """As `check`."""
    await AsyncConnectionPool.check_connection(conn)
    if _refuses_writes(conn.pgconn):
        await conn.close()
        raise OperationalError(_NO_WRITES)


async def require_writes(conn: AsyncConnection[DictRow]) -> None:
    """Raise DatabaseUnavailable where the server takes no writes, also behind a pooler."""
    row = await (await conn.execute("SELECT current_setting('transaction_read_only') AS refuses")).fetchone()
    if row and row["refuses"] == "on":
        raise DatabaseUnavailable(f"PostgreSQL: {_NO_WRITES}")


async def bounded(work: Coroutine[None, None, T], timeout_s: float = READ_TIMEOUT_S) -> T:
    """The result of a read, or an error in time, even where PostgreSQL accepts the query and never answers.

    psycopg takes seconds to give up a cancelled query; that happens in the background.

    Raises:
        DatabaseUnavailable: there was no result within `timeout_s`.
    """
    task = asyncio.create_task(work)
    _abandoned.add(task)
    task.add_done_callback(_forget)
    await asyncio.wait({task}, timeout=timeout_s)
    if task.done():
        return task.result()
    task.cancel()
    raise DatabaseUnavailable(f"PostgreSQL: no answer within {timeout_s} s")


def bound_statement(conn: Conn, timeout_s: int) -> None:
    """End the statements of this transaction sooner than others; they then raise StatementTimeout."""
    conn.execute("SELECT set_config('statement_timeout', %s, true)", [f"{timeout_s}s"])


def connect(settings: Settings, process: str) -> Conn:
    """One connection, for commands, past a pooler; as a context manager it is one transaction, then it closes."""
    options = _options(settings, process, timeout_ms=0, is_direct=bool(settings.database_direct_url))
    return Connection[DictRow].connect(settings.direct_url, **options)


def check_pooler(settings: Settings) -> None:
    """Raise InvalidSettings where a pooler is used, PostgreSQL answers, and the time limits are not in force there."""
    if settings.is_pooled:
        options = _options(settings, "pricing", timeout_ms=0)
        with suppress(OperationalError), Connection[DictRow].connect(settings.database_url, **options) as conn:
            limits.check(conn)


def _forget(task: asyncio.Task[Any]) -> None:
    _abandoned.discard(task)
    if not task.cancelled():
        task.exception()


_abandoned: set[asyncio.Task[Any]] = set()


def _refuses_writes(pgconn: PGconn) -> bool:
    """Whether the server said so with its last answer: it reports each change of these settings."""
    return b"on" in (pgconn.parameter_status(name) for name in _REFUSE_WRITES)


def _options(
    settings: Settings, process: str, timeout_ms: int, *, is_direct: bool = False, **more: int
) -> dict[str, Any]:
    chosen = {"statement_timeout": timeout_ms, "timezone": "UTC"} | more
    if settings.is_pooled and not is_direct:
        # A pooler refuses `options`. A prepared statement is in one server connection, and not in the next one's.
        by_mode: dict[str, Any] = {"prepare_threshold": None}
    else:
        by_mode = {
            "options": " ".join(f"-c {name}={value}" for name, value in chosen.items()),
            "target_session_attrs": PRIMARY,
        }
    return {
        **by_mode,
        "row_factory": dict_row,
        "application_name": process,
        "connect_timeout": CONNECT_TIMEOUT_S,
        **DEAD_AFTER,
        # Set here: a server with the encoding SQL_ASCII would return bytes for text.
        "client_encoding": "utf8",
    }
