"""Revocations of offers: rows that are only added. The latest instant counts."""

import asyncio
from datetime import datetime
from typing import NamedTuple

import structlog

from shared.errors import DatabaseUnavailable, PricingError, translated
from shared.postgres.pools import AsyncPool, Conn, bounded

log = structlog.get_logger(__name__)

READ_EVERY_S = 1.0


class Revocation(NamedTuple):
    """A decision to take back the offers that were made before an instant."""

    revoked_before: datetime
    reason: str
    author: str
    at: datetime


def revoke(conn: Conn, before: datetime | None, reason: str, author: str) -> datetime:
    """Revoke the offers that were made before an instant; returns the instant that now counts.

    Args:
        conn: In a transaction.
        before: None: now. An instant in the future counts as now: it would revoke offers that nobody has made.
        reason: For people.
        author: The caller's name.
    """
    conn.execute(_INSERT, [before, reason, author])
    found = revoked_before(conn)
    assert found  # noqa: S101 # a row was just added
    return found


def revoked_before(conn: Conn) -> datetime | None:
    """The instant before which all offers are revoked; None: none is."""
    row = conn.execute(_NEWEST).fetchone()
    return row["revoked_before"] if row else None


def listed(conn: Conn) -> list[Revocation]:
    """The last hundred revocations, newest first."""
    return [Revocation(**row) for row in conn.execute(_LISTED)]


class RevocationsCopy:
    """A process's copy of the instant, read each second. While PostgreSQL is away, the last one counts."""

    def __init__(self, database: AsyncPool) -> None:
        self._database = database
        self._before: datetime | None = None
        self._is_known = self._is_up = False

    async def keep_fresh(self) -> None:
        """Loop: read again and again."""
        while True:
            await asyncio.sleep(READ_EVERY_S)
            await self.read()

    async def current(self) -> datetime | None:
        """The instant before which all offers are revoked; None: none is.

        Raises:
            DatabaseUnavailable: it was never read, and PostgreSQL is away.
        """
        if not self._is_known:
            await self.read()
        if not self._is_known:
            raise DatabaseUnavailable("revocations of offers were not read yet")
        return self._before

    async def read(self) -> None:
        """Read the instant."""
        try:
            with translated():
                self._before = await bounded(_newest(self._database))
            self._is_known = self._is_up = True
        except PricingError as error:  # the last known instant goes on counting
            if self._is_up or not self._is_known:
                log.warning("revocations of offers not read, the last known one counts", error=str(error))
            self._is_up = False


async def _newest(database: AsyncPool) -> datetime | None:
    async with database.connection() as conn:
        row = await (await conn.execute(_NEWEST)).fetchone()
    return row["revoked_before"] if row else None


_INSERT = """
INSERT INTO offer_revocations (revoked_before, reason, author)
VALUES (least(coalesce(%s, clock_timestamp()), clock_timestamp()), %s, %s)
"""

_LISTED = """
SELECT revoked_before, reason, author, at FROM offer_revocations ORDER BY revocation_id DESC LIMIT 100
"""

_NEWEST = "SELECT max(revoked_before) AS revoked_before FROM offer_revocations"
