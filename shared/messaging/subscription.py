"""A Pub/Sub subscription that detects a dead connection within seconds."""

import time
from collections.abc import Callable
from typing import Any

import redis
from redis.client import PubSub

PING_EVERY_S = 1.0
DEAD_AFTER_S = 3.0
BATCH = 500


class Subscription:
    """A subscription to one channel or several.

    redis-py never detects a dead Pub/Sub connection: its health check sends a PING and does not wait for the reply.
    This class pings every second and requires a pong within three.
    """

    def __init__(self, client: redis.Redis, *channels: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._client, self._channels, self._monotonic = client, channels, monotonic
        self._pubsub: PubSub | None = None
        self._pinged_at = 0.0
        self._unanswered_since: float | None = None

    @property
    def is_up(self) -> bool:
        """Whether there is a subscription, and its last ping was answered or is still in time."""
        return self._pubsub is not None

    def take(self, wait_s: float) -> list[bytes]:
        """As `take_named`, without the names of the channels."""
        return [message for _, message in self.take_named(wait_s)]

    def take_named(self, wait_s: float) -> list[tuple[str, bytes]]:
        """Up to 500 messages published since the last call, with their channels; subscribes first where it must.

        Args:
            wait_s: The longest wait for a first message.

        Raises:
            redis.ConnectionError: the connection is dead or cannot be made, and no message was received before; the
                next call tries again.
        """
        taken: list[tuple[str, bytes]] = []
        try:
            pubsub = self._pubsub or self._subscribe()
            self._ping(pubsub)
            self._drain(pubsub, wait_s, taken)
            # Checked after the read: the pong may have arrived while the caller was busy.
            if self._unanswered_since is not None and self._monotonic() - self._unanswered_since > DEAD_AFTER_S:
                raise redis.ConnectionError(f"no pong for {DEAD_AFTER_S:.0f} s")
        # ValueError: redis-py polls a socket that is closed.
        except (redis.RedisError, OSError, ValueError) as error:
            self.close()
            if not taken:
                raise redis.ConnectionError(str(error)) from error
        return taken

    def close(self) -> None:
        """Close the subscription."""
        if self._pubsub is not None:
            self._pubsub.close()
            self._pubsub = None

    def _subscribe(self) -> PubSub:
        pubsub: PubSub = self._client.pubsub()  # type: ignore[no-untyped-call] # redis-py has no type here
        pubsub.subscribe(*self._channels)
        self._pubsub = pubsub
        self._pinged_at, self._unanswered_since = self._monotonic(), None
        return pubsub

    def _ping(self, pubsub: PubSub) -> None:
        now = self._monotonic()
        if now - self._pinged_at >= PING_EVERY_S:
            pubsub.ping()
            self._pinged_at = now
            self._unanswered_since = self._unanswered_since or now

    def _drain(self, pubsub: PubSub, wait_s: float, taken: list[tuple[str, bytes]]) -> None:
        connection: Any = pubsub.connection
        # The rest of a message that has begun gets its own time. Where the time of `get_message` ends within a message,
        # redis-py connects anew, and all that Redis had sent is lost.
        while len(taken) < BATCH and connection.can_read(wait_s):
            message = pubsub.get_message(timeout=DEAD_AFTER_S)
            self._unanswered_since, wait_s = None, 0
            if message is not None and message["type"] == "message":
                taken.append((message["channel"].decode(), message["data"]))
