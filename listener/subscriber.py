"""The subscriber: a thread that only reads the channel, so that no other work delays the reading.

Redis ends a subscription whose messages are not read, and drops the messages in its buffer.
"""

import threading
from collections.abc import Callable

import redis
import structlog

from listener.backlog import Backlog
from shared.messaging.subscription import Subscription
from shared.telemetry import heartbeats
from shared.telemetry.metrics import LOOP_ERRORS, MARKET_SUBSCRIPTION_UP, SUBSCRIPTION_LOSSES

log = structlog.get_logger(__name__)

POLL_S = 0.2
PAUSE_S = 0.5
LOOP = "channel"


class Subscriber:
    """Moves messages from the subscription into the backlog until it is stopped."""

    def __init__(self, subscription: Subscription, backlog: Backlog, when_up: Callable[[], None]) -> None:
        """A subscriber.

        Args:
            subscription: The channel's; only the subscriber's thread uses it.
            backlog: Receives the messages.
            when_up: Called after each new subscription: earlier messages may have been missed.
        """
        self._subscription, self._backlog, self._when_up = subscription, backlog, when_up
        self._is_away = False

    def run(self, stop: threading.Event) -> None:
        """Read until `stop` is set; the messages stay in the backlog."""
        while not stop.is_set():
            try:
                with heartbeats.turn(LOOP):
                    self._take()
            except Exception as error:  # noqa: BLE001 # the outermost loop of a thread
                LOOP_ERRORS.labels(type(error).__name__).inc()
                self._note(error)
                stop.wait(PAUSE_S)
        self._subscription.close()

    def _take(self) -> None:
        was_up = self._subscription.is_up
        try:
            taken = self._subscription.take(POLL_S)
        finally:
            is_up = self._subscription.is_up
            SUBSCRIPTION_LOSSES.inc(was_up and not is_up)
            MARKET_SUBSCRIPTION_UP.set(is_up)
        if taken:
            self._backlog.add(taken)
        if not was_up:
            self._when_up()
            self._note(None)

    def _note(self, error: Exception | None) -> None:
        """Log once when the channel goes away and once when it is back; log every unforeseen error."""
        if error is not None and not isinstance(error, redis.RedisError):
            log.error("unforeseen error", during="channel", exc_info=error)
        elif error is not None and not self._is_away:
            log.warning("away, trying again", during="channel", error=str(error))
        elif error is None and self._is_away:
            log.info("back again", during="channel")
        self._is_away = error is not None
