"""A process's writer of the audit log: many entries in one statement, and later where PostgreSQL is away."""

import asyncio

import structlog

from shared.access import audit
from shared.access.audit import Entry
from shared.errors import retryable
from shared.postgres.pools import AsyncPool, bounded
from shared.telemetry.metrics import AUDIT_LOST

log = structlog.get_logger(__name__)

# The longest wait of an answer for its entry.
WAIT_S = 1.0
RETRY_S = 0.5
AT_ONCE = 1_000
# Entries that wait while PostgreSQL is away.
MOST_WAITING = 10_000


class AuditLog:
    """Stores entries: those of concurrent requests in one statement, and later where PostgreSQL is away."""

    def __init__(self, database: AsyncPool) -> None:
        self._database = database
        self._waiting: list[tuple[Entry, asyncio.Future[None]]] = []
        self._storing: asyncio.Task[None] | None = None
        self._is_away = False

    async def record(self, entry: Entry, wait_s: float = WAIT_S) -> None:
        """Store an entry; returns when it is stored, or after a second, or at once while PostgreSQL is away."""
        if len(self._waiting) >= MOST_WAITING:
            AUDIT_LOST.inc()
            return
        stored = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, stored))
        if self._storing is None:
            self._storing = asyncio.create_task(self._store())
        if wait_s and not self._is_away:
            await asyncio.wait({stored}, timeout=wait_s)

    async def close(self) -> None:
        """Store what waits, as far as that is possible within a second."""
        if self._storing is not None:
            await asyncio.wait({self._storing}, timeout=WAIT_S)
            self._storing.cancel()
        if self._waiting:
            AUDIT_LOST.inc(len(self._waiting))
            log.error("audit entries lost", entries=len(self._waiting))

    async def _store(self) -> None:
        while batch := self._waiting[:AT_ONCE]:
            try:
                await bounded(audit.record_all(self._database, [entry for entry, _ in batch]))
            except Exception as error:
                if retryable(error):
                    self._note_away(error)
                    await asyncio.sleep(RETRY_S)
                    continue
                AUDIT_LOST.inc(len(batch))
                log.exception("audit entries lost", entries=len(batch))
            else:
                self._is_away = False
            del self._waiting[: len(batch)]
            for _, stored in batch:
                stored.set_result(None)
        self._storing = None

    def _note_away(self, error: Exception) -> None:
        if not self._is_away:
            log.warning("audit entries wait", error=str(error))
        self._is_away = True
