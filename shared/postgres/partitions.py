"""Tables that are partitioned by month: partitions are made ahead, and dropped when their time is over.

Rows of a month without a partition are in the table's default partition, and move when the month gets its own.
"""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import structlog
from psycopg import sql

from shared.postgres.pools import Conn, Pool
from shared.settings import Settings

log = structlog.get_logger(__name__)

MONTHS_AHEAD = 2
# Old rows of the default partition are deleted in slices.
DELETED_AT_ONCE = 10_000


class Partitioned(NamedTuple):
    """A partitioned table; its default partition is `{name}_default`.

    Attributes:
        column: The time by which it is partitioned.
        keeps_days: How long its rows are kept.
    """

    name: str
    column: str
    keeps_days: Callable[[Settings], int]


TABLES = (
    Partitioned("audit_log", "recorded_at", lambda settings: settings.audit_days),
    # No row is carried over: each has the sheet that was in force until then.
    Partitioned("price_history", "recorded_at", lambda settings: settings.history_days),
    Partitioned("replaced_facts", "replaced_at", lambda settings: settings.history_days),
    Partitioned("replaced_signals", "replaced_at", lambda settings: settings.history_days),
    Partitioned("restored_prices", "recorded_at", lambda settings: settings.history_days),
    Partitioned("changes", "recorded_at", lambda settings: settings.changes_days),
    Partitioned("imported_prices", "at", lambda settings: settings.history_days),
    Partitioned("plan_items", "planned_at", lambda settings: settings.plan_days),
)


class Month(NamedTuple):
    """A calendar month in UTC."""

    year: int
    number: int

    @property
    def begin(self) -> datetime:
        """Its first instant."""
        return datetime(self.year, self.number, 1, tzinfo=UTC)

    @property
    def next(self) -> "Month":
        """The month after it."""
        return Month(self.year + self.number // 12, self.number % 12 + 1)


def maintain(pool: Pool, settings: Settings, now: datetime, tables: Sequence[Partitioned] = TABLES) -> None:
    """Make the partitions of this month and the next two, and drop what is too old, of every table.

    Safe to repeat, and for several processes at once.

    Args:
        pool: Each step is a transaction of its own, with short locks.
        settings: How long the rows of each table are kept.
        now: The time.
        tables: The tables.
    """
    for table in tables:
        oldest = now - timedelta(days=table.keeps_days(settings))
        month = Month(now.year, now.month)
        for _ in range(MONTHS_AHEAD + 1):
            with pool.connection() as conn:
                conn.execute(_BRIEFLY)
                _ensure(conn, table, month)
            month = month.next
        with pool.connection() as conn:
            conn.execute(_BRIEFLY)
            _drop(conn, table, oldest)
        with pool.connection() as conn:
            conn.execute(_composed(_DELETE, table), {"oldest": oldest, "limit": DELETED_AT_ONCE})


def _ensure(conn: Conn, table: Partitioned, month: Month) -> None:
    if month in _months(conn, table):
        return
    for statement in _LOCKS:
        conn.execute(_composed(statement, table))
    if month in _months(conn, table):
        return
    times = {"begin": sql.Literal(month.begin), "end": sql.Literal(month.next.begin)}
    for statement in (_CREATE, _MOVE, _ATTACH):
        conn.execute(_composed(statement, table, partition=sql.Identifier(_name(table, month)), **times))
    log.info("partition made", table=table.name, month=f"{month.begin:%Y-%m}")


def _drop(conn: Conn, table: Partitioned, oldest: datetime) -> None:
    for month in _months(conn, table):
        if month.next.begin <= oldest:
            conn.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(_name(table, month))))
            log.info("partition dropped", table=table.name, month=f"{month.begin:%Y-%m}")


def _months(conn: Conn, table: Partitioned) -> list[Month]:
    """The months that have a partition."""
    names = [row["name"] for row in conn.execute(_PARTITIONS, [table.name])]
    found = [re.fullmatch(rf"{table.name}_(\d{{4}})_(\d{{2}})", name) for name in names]
    return [Month(int(match[1]), int(match[2])) for match in found if match]


def _name(table: Partitioned, month: Month) -> str:
    return f"{table.name}_{month.begin:%Y_%m}"


def _composed(statement: str, table: Partitioned, **parts: sql.Composable) -> sql.Composed:
    return sql.SQL(statement).format(
        table=sql.Identifier(table.name),
        default=sql.Identifier(f"{table.name}_default"),
        column=sql.Identifier(table.column),
        **parts,
    )


# Writes of the table wait behind a statement that waits for a lock.
_BRIEFLY = "SET LOCAL lock_timeout = '1s'"

_PARTITIONS = """
SELECT c.relname AS name FROM pg_inherits JOIN pg_class AS c ON c.oid = inhrelid
WHERE inhparent = %s::regclass ORDER BY c.relname
"""

# No row may come into the default partition between the move and the new partition. Writers wait for the table itself:
# one that had chosen the default partition already would fail when the month has its own.
_LOCKS = (
    "LOCK TABLE ONLY {table} IN SHARE ROW EXCLUSIVE MODE",
    "LOCK TABLE {default} IN ACCESS EXCLUSIVE MODE",
)

_CREATE = "CREATE TABLE {partition} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)"

_MOVE = """
WITH moved AS (DELETE FROM {default} WHERE {column} >= {begin} AND {column} < {end} RETURNING *)
INSERT INTO {partition} SELECT * FROM moved
"""

_ATTACH = "ALTER TABLE {table} ATTACH PARTITION {partition} FOR VALUES FROM ({begin}) TO ({end})"

_DELETE = """
DELETE FROM {default} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {default} WHERE {column} < %(oldest)s LIMIT %(limit)s))
"""
