"""The clock of the log of changes: gives committed entries their ids, and adds window edges as they pass.

At the edge of a public window its products are decided anew. Their prices need no clock; the lowest prices beside them
are found when a reduction begins.
"""

import threading
import time
from collections.abc import Callable
from datetime import datetime

import redis
import structlog

from shared.catalogue import listed_products
from shared.changes import log as change_log
from shared.changes import webhooks
from shared.errors import retryable, translate
from shared.jobs import tasks
from shared.messaging.messages import Enqueuer
from shared.postgres import clock
from shared.postgres.pools import Conn, Pool
from shared.pricing.rulebook import NEUTRAL
from shared.pricing.window_edges import WindowEdge, edges
from shared.rulebook import reductions
from shared.rulebook import store as rulebook
from shared.telemetry import heartbeats
from shared.telemetry.metrics import CHANGES_LOGGED, LOOP_ERRORS

log = structlog.get_logger(__name__)

LOOP = "changes"
TURN_S = 0.05
# A rulebook that was written since may have an edge sooner than the next one known.
LOOK_S = 1.0
PAUSE_S = 0.5
# Of webhooks that failed, or whose message was lost.
ENQUEUE_S = 0.5
# A list with entries of more products has everything decided anew at its edges.
MOST_NAMED = 10_000


class ChangeClock:
    """Runs in each listener, and works in the active one. Two at once do no harm: they take turns at a row lock."""

    def __init__(self, pool: Pool, enqueue: Enqueuer, is_active: Callable[[], bool]) -> None:
        """A clock.

        Args:
            pool: PostgreSQL.
            enqueue: Sends messages to the workers, for webhooks.
            is_active: Whether this listener holds the lease.
        """
        self._pool, self._enqueue, self._is_active = pool, enqueue, is_active
        self._version, self._rulebook, self._edges = 0, NEUTRAL, list[WindowEdge]()
        self._looked_at, self._due_in_s = float("-inf"), 0.0
        self._enqueued_at = float("-inf")
        self._is_up = True

    def run(self, stop: threading.Event) -> None:
        """Run until `stop` is set."""
        while not stop.wait(TURN_S):
            try:
                with heartbeats.turn(LOOP):
                    if self._is_active():
                        self.turn()
                        self._is_up = True
            except Exception as error:  # noqa: BLE001 # the outermost loop of a thread
                self._note(error)
                stop.wait(PAUSE_S)

    def turn(self) -> None:
        """Add the edges that have passed, give ids until no entry waits, and enqueue the webhooks that are due."""
        if time.monotonic() - self._looked_at >= min(LOOK_S, self._due_in_s):
            with self._pool.connection() as conn:
                self._add_edges(conn)
        while True:
            with self._pool.connection() as conn:
                given = change_log.give_ids(conn)
            CHANGES_LOGGED.inc(given)
            if given < change_log.GIVEN_AT_ONCE:
                break
        if given or time.monotonic() - self._enqueued_at >= ENQUEUE_S:
            self._enqueue_webhooks()
            self._enqueued_at = time.monotonic()

    def _enqueue_webhooks(self) -> None:
        with self._pool.connection() as conn:
            due = webhooks.take_due(conn)
        try:
            for webhook_id in due:
                self._enqueue.webhook(webhook_id)
        except redis.RedisError:
            with self._pool.connection() as conn:
                webhooks.not_enqueued(conn, due)
            raise

    def _add_edges(self, conn: Conn) -> None:
        """Add what has passed since the last look; the rulebook is the newest one."""
        since, now = change_log.edges_until(conn)
        version = rulebook.newest(conn)
        if version != self._version:
            self._rulebook, self._version = rulebook.active(conn).rulebook, version
            self._edges = edges(self._rulebook)
        passed = [
            {"part": one.part, "id": one.id, "edge": one.edge, "edge_at": one.at}
            for one in self._edges
            if since < one.at <= now
        ]
        passed += change_log.values_in_force_since(conn, since, now)

        def entries(list_id: str, revision: int) -> list[str] | None:
            return listed_products.public_products(conn, list_id, revision, MOST_NAMED)

        for products in reductions.edges(self._rulebook, since, now, entries).values():
            tasks.create(conn, "recalculation", products, "")
        change_log.append_edges(conn, passed, now)
        self._looked_at, self._due_in_s = time.monotonic(), self._time_to_next(conn, now)

    def _time_to_next(self, conn: Conn, now: datetime) -> float:
        following = [one.at for one in self._edges if one.at > now][:1] + change_log.next_value(conn, now)
        return min((at - clock.now(conn)).total_seconds() for at in following) if following else LOOK_S

    def _note(self, error: Exception) -> None:
        LOOP_ERRORS.labels(type(error).__name__).inc()
        if not retryable(error):
            log.exception("unforeseen error", during="changes")
        elif self._is_up:
            log.warning("the log of changes waits", error=str(translate(error)))
        self._is_up = False
