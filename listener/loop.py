"""The listener's outermost loop: only a signal ends it.

Of several listeners one holds the lease and does the work. The others keep the last 30 s of the channel. A listener
that takes the lease over records them, and with them the events that the former holder did not record.
"""

import threading
import time
from collections.abc import Callable

import structlog

from listener.backlog import Backlog
from listener.epoch_watch import EpochWatch
from listener.inbox import Inbox
from listener.sweep import Sweep
from shared.access import idempotency
from shared.catalogue import former_entries
from shared.errors import retryable, translate
from shared.market_events import signal_sources
from shared.market_events.records import EventRecord
from shared.postgres import leases
from shared.postgres.pools import Conn, Pool
from shared.prices import holds
from shared.telemetry import heartbeats
from shared.telemetry.metrics import LISTENER_ACTIVE, LOOP_ERRORS, SWEPT_AT

log = structlog.get_logger(__name__)

LEASE = "listener"
HEARTBEAT = "work"
LEASE_S = 3.0
RENEW_EVERY_S = 1.0
SLICE = 500
WAIT_S = 0.2
SWEEP_EVERY_S = 0.25
BEAT_EVERY_S = 1.0
PURGE_EVERY_S = 10.0
PURGED_AT_ONCE = 1_000
PURGES = (idempotency.purge, holds.purge, signal_sources.purge, former_entries.purge)
PULL_EVERY_S = 1.0
MAINTAIN_EVERY_S, RETRY_MAINTENANCE_S = 3_600.0, 60.0
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
        epoch: EpochWatch,
        maintain: Callable[[], None] = lambda: None,
        pull: Callable[[], None] = lambda: None,
        purge: Callable[[Conn, int], int] = lambda conn, limit: 0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """A loop.

        Args:
            pool: Connections to PostgreSQL, for the lease.
            holder: A unique name of this process.
            backlog: The messages that the subscriber has read.
            inbox: Records the messages.
            sweep: Enqueues due targets and waiting tasks.
            epoch: Notices that PostgreSQL's data went back.
            maintain: Makes and drops the partitions of tables.
            pull: Requests a pull of the market-data feed where one is due; called once a second.
            purge: Deletes up to so many rows whose time is over; returns their number.
            monotonic: The clock.
        """
        self._pool, self._holder, self._backlog = pool, holder, backlog
        self._inbox, self._sweep, self._epoch, self._monotonic = inbox, sweep, epoch, monotonic
        self._maintain, self._maintain_at = maintain, float("-inf")
        self._pull, self._pulled_at = pull, float("-inf")
        self._purge = purge
        self._is_active = False
        self._renewed_at = self._swept_at = self._beat_at = self._purged_at = float("-inf")
        self._away: set[str] = set()

    @property
    def is_active(self) -> bool:
        """Whether this listener holds the lease."""
        return self._is_active

    def sweep_soon(self) -> None:
        """Sweep in the next turn: events may have been published while the subscription was down."""
        self._swept_at = float("-inf")

    def run(self, stop: threading.Event) -> None:
        """Run until `stop` is set; the messages left in the backlog are then recorded."""
        while not stop.is_set():
            healthy = self._attempt("lease", self._renew)
            if self._is_active:
                healthy &= self._attempt("database", self._record)
                healthy &= self._attempt("sweep", self._sweep_if_due)
                healthy &= self._attempt("epoch", self._beat_if_due)
                healthy &= self._attempt("purge", self._purge_if_due)
                healthy &= self._attempt("partitions", self._maintain_if_due)
                healthy &= self._attempt("feed", self._pull_if_due)
            else:
                self._backlog.drop_older_than(STANDBY_KEEPS_S)
            if healthy:
                heartbeats.succeeded(HEARTBEAT)
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
            # The new holder may not have read these.
            self._record_all()
        self._is_active = is_active
        self._backlog.is_standby = not is_active
        LISTENER_ACTIVE.set(is_active)

    def _give_up(self) -> None:
        with self._pool.connection() as conn:
            leases.give_up(conn, LEASE, self._holder)

    def _record(self) -> None:
        """Record one slice, and enqueue the targets that its events made due."""
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
        """Record one message of a slice that failed as a whole; a message that causes the failure is dropped."""
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

    def _beat_if_due(self) -> None:
        if self._monotonic() - self._beat_at < BEAT_EVERY_S:
            return
        self._beat_at = self._monotonic()
        self._epoch.beat()

    def _purge_if_due(self) -> None:
        """Delete one slice of what has expired; the next in the next turn, while there are more."""
        if self._monotonic() - self._purged_at < PURGE_EVERY_S:
            return
        with self._pool.connection() as conn:
            purged = max(purge(conn, PURGED_AT_ONCE) for purge in (*PURGES, self._purge))
        if purged < PURGED_AT_ONCE:
            self._purged_at = self._monotonic()

    def _pull_if_due(self) -> None:
        if self._monotonic() - self._pulled_at < PULL_EVERY_S:
            return
        self._pulled_at = self._monotonic()
        self._pull()

    def _maintain_if_due(self) -> None:
        if self._monotonic() < self._maintain_at:
            return
        self._maintain_at = self._monotonic() + RETRY_MAINTENANCE_S
        self._maintain()
        self._maintain_at = self._monotonic() + MAINTAIN_EVERY_S

    def _attempt(self, name: str, step: Callable[[], None]) -> bool:
        """Run a step; logs once when it starts to fail with a transient error, and once when it works again."""
        heartbeats.turned(HEARTBEAT)
        try:
            step()
        except Exception as error:  # the outermost loop of the process
            LOOP_ERRORS.labels(type(error).__name__).inc()
            if not retryable(error):
                log.exception("unforeseen error", during=name)
            elif name not in self._away:
                self._away.add(name)
                log.warning("away, trying again", during=name, error=str(translate(error)))
            return False
        if name in self._away:
            self._away.remove(name)
            log.info("back again", during=name)
        return True
