"""The listener's outermost loop: nothing ends it but a signal, and nothing that it took is dropped."""

import threading
import time
from collections.abc import Callable

import redis
import structlog

from listener.bridge import Bridge
from shared.errors import retryable, translate
from shared.messaging.subscription import Link
from shared.telemetry.metrics import LOOP_ERRORS, MARKET_SUBSCRIPTION_UP, SUBSCRIPTION_LOSSES, SWEPT_AT

log = structlog.get_logger(__name__)

POLL_S = 0.2
SWEEP_EVERY_S = 0.25
PAUSE_S = 0.5


class Loop:
    """Takes from the link, hands to the bridge, rings for what is due, sweeps on start, on reconnect and after."""

    def __init__(self, link: Link, bridge: Bridge, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._link, self._bridge, self._monotonic = link, bridge, monotonic
        self._pending: list[bytes] = []
        self._swept_at = float("-inf")
        self._away: set[str] = set()

    def run(self, stop: threading.Event) -> None:
        """Go on until `stop` is set; what is pending then is handed over once more."""
        while not stop.is_set():
            healthy = self._attempt("channel", self._take)
            healthy &= self._attempt("database", self._hand_over)
            healthy &= self._attempt("sweep", self._sweep)
            healthy &= self._attempt("due", self._ring_due)
            if not healthy:
                stop.wait(PAUSE_S)
        self._attempt("database", self._hand_over)
        self._link.close()

    def _take(self) -> None:
        was_up = self._link.is_up
        try:
            self._pending += self._link.take(POLL_S)
        except redis.ConnectionError:
            SUBSCRIPTION_LOSSES.inc(was_up)
            raise
        finally:
            MARKET_SUBSCRIPTION_UP.set(self._link.is_up)
        if not was_up:
            # What was published while nobody listened waits in the database.
            self._swept_at = float("-inf")

    def _hand_over(self) -> None:
        if not self._pending:
            return
        try:
            self._bridge.receive(self._pending)
        except Exception as error:
            if isinstance(error, redis.RedisError):
                self._pending = []  # recorded; only the ring failed, and the sweep will ring
            elif not retryable(error):
                self._one_by_one()
            raise
        self._pending = []

    def _one_by_one(self) -> None:
        """A batch that cannot be recorded for good: find the message that is to blame, and go on without it."""
        pending, self._pending = self._pending, []
        for raw in pending:
            try:
                self._bridge.receive([raw])
            except Exception as error:
                if retryable(error):
                    self._pending.append(raw)
                else:
                    log.exception("message dropped", raw=raw[:1000])

    def _sweep(self) -> None:
        if self._monotonic() - self._swept_at >= SWEEP_EVERY_S:
            self._bridge.sweep()
            self._swept_at = self._monotonic()
            SWEPT_AT.set_to_current_time()

    def _ring_due(self) -> None:
        self._bridge.sweep_due()

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
