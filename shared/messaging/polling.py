"""A consumer that waits in Redis for messages, and whose turns are heartbeats."""

from collections.abc import Callable, Iterable
from typing import Any

import redis
from dramatiq.broker import Consumer, MessageProxy

from shared.telemetry import heartbeats

# Short enough that delayed messages, shutdowns and the maintenance of crashed workers are not late.
WAIT_S = 0.25


class WaitingConsumer(Consumer):
    """Another consumer, which sleeps while a queue is empty: a message ends the wait.

    It also notes each turn, also those that only find all threads of the process at work.
    """

    def __init__(
        self, consumer: Any, client: redis.Redis, key: str, loop: str, before_turn: Callable[[], None]
    ) -> None:
        """A consumer.

        Args:
            consumer: Dramatiq's, on Redis.
            client: Connected to the Redis of the queues.
            key: The list with the ids of the queue's messages.
            loop: The name of the heartbeat.
            before_turn: Called before each turn.
        """
        self._consumer, self._client, self._key, self._loop = consumer, client, key, loop
        self._is_idle, self._before_turn = False, before_turn
        heartbeats.turned(loop)

    def __next__(self) -> MessageProxy | None:
        """The next message, or None."""
        with heartbeats.turn(self._loop):
            self._before_turn()
            if self._is_idle:
                self._wait()
            found: MessageProxy | None = next(self._consumer)
        self._is_idle = found is None and self._consumer.outstanding_message_count < self._consumer.prefetch
        return found

    def _wait(self) -> None:
        """Wait until the queue has a message. Its first one is moved to its own place: none leaves the queue."""
        try:
            self._client.blmove(self._key, self._key, WAIT_S, "LEFT", "LEFT")  # type: ignore[arg-type] # as Redis has it
        except redis.RedisError:
            return  # the consumer's own fetch follows, which raises, or sleeps
        self._consumer.misses = 0  # without it the consumer would sleep after its fetch, longer each time

    def ack(self, message: MessageProxy) -> None:
        """As the consumer."""
        self._consumer.ack(message)

    def nack(self, message: MessageProxy) -> None:
        """As the consumer."""
        self._consumer.nack(message)

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """As the consumer."""
        self._consumer.requeue(messages)

    def close(self) -> None:
        """As the consumer."""
        self._consumer.close()
