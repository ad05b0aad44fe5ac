"""The clock of windows: where a list or promotion for everybody opens or closes, its products are decided anew.

Prices need no clock. The lowest prices beside them do: they are found when a reduction begins.
"""

from datetime import datetime, timedelta
from uuid import UUID, uuid5

import structlog

from shared.jobs import tasks
from shared.postgres import clock
from shared.postgres.pools import Conn, Pool
from shared.rulebook import reductions, store
from shared.rulebook.store import RulebookVersion

log = structlog.get_logger(__name__)

# Edges that passed while no listener was active.
MISSED = timedelta(days=1)
_TASKS = UUID("0c2f2e5e-5d2f-4d43-9c0e-6f6f6c0b8a11")


class WindowEdges:
    """Starts one recalculation for each edge; an edge that is seen twice starts one."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._seen: datetime | None = None
        self._held: RulebookVersion | None = None

    def pass_due(self) -> int:
        """Start the recalculations of the edges that passed since the last call; returns their number."""
        with self._pool.connection() as conn:
            now = clock.now(conn)
            rulebook = self._rulebook(conn).rulebook
            passed = reductions.edges(rulebook, self._seen or now - MISSED, now)
            for edge, products in passed.items():
                task_id = tasks.create(conn, "recalculation", products, "", uuid5(_TASKS, edge.isoformat()))
                log.info("window opens or closes", at=edge.isoformat(), task_id=str(task_id))
        self._seen = now
        return len(passed)

    def _rulebook(self, conn: Conn) -> RulebookVersion:
        mark = store.newest(conn)
        if self._held is None or mark != (self._held.version, self._held.at):
            self._held = store.active(conn)
        return self._held
