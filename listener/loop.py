"""The listener's outermost loop: only a signal ends it, and nothing that it took is dropped.

Of several listeners one holds the lease and does the work. The others keep the last 30 s of the channel, and record
them when the lease comes to them: an event that the former holder did not record is recorded then.
"""

import threading
import time
from collections.abc import Callable

import structlog

from listener.backlog import Backlog
from listener.inbox import Inbox
from listener.sweep import Sweep
from shared.errors import retryable, translate
from shared.market_events.records import EventRecord
from shared.postgres import leases
from shared.postgres.pools import Pool
from shared.telemetry.metrics import LISTENER_ACTIVE, LOOP_ERRORS, SWEPT_AT

log = structlog.get_logger(__name__)

LEASE = "listener"
LEASE_S = 3.0
RENEW_EVERY_S = 1.0
SLICE = 500
WAIT_S = 0.2
SWEEP_EVERY_S = 0.25
PAUSE_S = 0.5
STANDBY_KEEPS_S = 30.0


class Loop:
    """Records the backlog slice by slice, and sweeps in between."""

    def __init__(
        self,
        pool: Pool,
        holder: str,
        backlog: Backlog,
        inbox: Inbox,
        sweep: Sweep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """A loop.

        Args:
            pool: Has the lease.
            holder: This process, as no other is called.
            backlog: What the subscriber read.
            inbox: Records it.
            sweep: Enqueues what is due.
            monotonic: The clock.
        """
        self._pool, self._holder, self._backlog = pool, holder, backlog
        self._inbox, self._sweep, self._monotonic = inbox, sweep, monotonic
        self._is_active = False
        self._renewed_at = self._swept_at = float("-inf")
        self._away: set[str] = set()

    def sweep_soon(self) -> None:
        """Sweep in the next turn: an event may have been published while the channel was not read."""
        self._swept_at = float("-inf")

    def run(self, stop: threading.Event) -> None:
        """Go on until `stop` is set; what is in the backlog then is recorded once more."""
        while not stop.is_set():
            healthy = self._attempt("lease", self._renew)
            if self._is_active:
                healthy &= self._attempt("database", self._record)
                healthy &= self._attempt("sweep", self._sweep_if_due)
            else:
                self._backlog.drop_older_than(STANDBY_KEEPS_S)
            if not healthy:
                stop.wait(PAUSE_S)
            elif self._is_active:
                self._backlog.wait(WAIT_S)
            else:
                stop.wait(WAIT_S)
        if self._is_active:
            self._attempt("database", self._record_all)
            self._attempt("lease", self._give_up)

    def _renew(self) -> None:
        if self._monotonic() - self._renewed_at < RENEW_EVERY_S:
            return
        with self._pool.connection() as conn:
            is_active = leases.take(conn, LEASE, self._holder, LEASE_S)
        self._renewed_at = self._monotonic()
        if is_active != self._is_active:
            log.info("this listener is active" if is_active else "another listener is active")
        if self._is_active and not is_active:
            # The new holder may never have read these.
            self._record_all()
        self._is_active = is_active
        self._backlog.is_standby = not is_active
        LISTENER_ACTIVE.set(is_active)

    def _give_up(self) -> None:
        with self._pool.connection() as conn:
            leases.give_up(conn, LEASE, self._holder)

    def _record(self) -> None:
        """Record one slice, and enqueue what its events made due."""
        if not (messages := self._backlog.first(SLICE)):
            return
        try:
            events = self._inbox.record(messages)
        except Exception as error:
            if retryable(error):
                raise
            events = []
            for message in messages:
                events += self._record_one(message)
        self._backlog.drop(len(messages))
        self._sweep.events(events)

    def _record_one(self, message: bytes) -> list[EventRecord]:
        """Record a message of a slice that cannot be recorded whole; drop it where it is the one to blame."""
        try:
            return self._inbox.record([message])
        except Exception as error:
            if retryable(error):
                raise
            LOOP_ERRORS.labels(type(error).__name__).inc()
            log.exception("message dropped", raw=message[:1000])
            return []

    def _record_all(self) -> None:
        while len(self._backlog):
            self._record()

    def _sweep_if_due(self) -> None:
        if self._monotonic() - self._swept_at < SWEEP_EVERY_S:
            return
        self._swept_at = self._monotonic()
        self._sweep.due()
        self._sweep.tasks()
        SWEPT_AT.set_to_current_time()

    def _attempt(self, what: str, step: Callable[[], None]) -> bool:
        """Run a step; one line when it begins to fail for a passing reason, one when it works again."""
        try:
            step()
        except Exception as error:  # the outermost loop of the process
            LOOP_ERRORS.labels(type(error).__name__).inc()
            if not retryable(error):
                log.exception("unforeseen error", during=what)
            elif what not in self._away:
                self._away.add(what)
                log.warning("away, trying again", during=what, error=str(translate(error)))
            return False
        if what in self._away:
            self._away.remove(what)
            log.info("back again", during=what)
        return True
