"""The time limits of PostgreSQL's sessions, and where they are kept behind a pooler in transaction mode.

Processes set their limits when they connect. A pooler in transaction mode refuses that, and gives each transaction
any of its server connections. Behind one, the limits are settings of the role in its database: `just migrate` makes
them, and each process at its start and each new connection check them. Without them, what a frozen process has locked
would stay locked.
"""

from collections.abc import Iterable
from typing import Any

from psycopg import AsyncConnection, Connection, sql
from psycopg.rows import DictRow

from shared.settings import InvalidSettings

WRITE_TIMEOUT_MS = 30_000
# Shorter than a lease (12 s): the locks of a frozen process are released before another process takes over.
IDLE_TIMEOUT_MS = 10_000
# Shorter again: where one transaction of a frozen process waits for another, it ends first. It would get the lock of
# the other one, and keep it for as long once more.
LOCK_TIMEOUT_MS = 8_000

LIMITS = {
    "statement_timeout": WRITE_TIMEOUT_MS,
    "lock_timeout": LOCK_TIMEOUT_MS,
    "idle_in_transaction_session_timeout": IDLE_TIMEOUT_MS,
}
ZONE = "TimeZone", "UTC"


def keep_in_role(conn: Connection[DictRow]) -> None:
    """Make the limits settings of the connection's role in its database, in the caller's transaction."""
    database = sql.Identifier(conn.info.dbname)
    for name, value in ((ZONE), *((name, str(limit)) for name, limit in LIMITS.items())):
        conn.execute(
            sql.SQL("ALTER ROLE CURRENT_USER IN DATABASE {} SET {} = {}").format(
                database, sql.Identifier(name.lower()), sql.Literal(value)
            )
        )


def check(conn: Connection[DictRow]) -> None:
    """Raise InvalidSettings unless the limits are in force; in a transaction of its own."""
    with conn.transaction():
        _check(conn.execute(_IN_FORCE, [[*LIMITS, ZONE[0]]]).fetchall())


async def check_async(conn: AsyncConnection[DictRow]) -> None:
    """As `check`."""
    async with conn.transaction():
        _check(await (await conn.execute(_IN_FORCE, [[*LIMITS, ZONE[0]]])).fetchall())


def _check(rows: Iterable[dict[str, Any]]) -> None:
    found = {row["name"]: row["setting"] for row in rows}
    wrong = [name for name, limit in LIMITS.items() if not 0 < int(found[name]) <= limit]
    wrong += [ZONE[0]] if found[ZONE[0]] not in (ZONE[1], "Etc/UTC") else []
    if wrong:
        raise InvalidSettings(
            f"PRICING_DATABASE_POOLER: {wrong[0]} is {found[wrong[0]]} behind the pooler: run `just migrate` with this "
            "setting, then have the pooler connect anew (RECONNECT in its console)"
        )


_IN_FORCE = "SELECT name, setting FROM pg_settings WHERE name = ANY(%s)"
