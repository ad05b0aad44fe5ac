"""A consumer whose polls are heartbeats."""

from collections.abc import Iterable

from dramatiq.broker import Consumer, MessageProxy

from shared.telemetry import heartbeats


class BeatingConsumer(Consumer):
    """Notes each poll of another consumer, also those that only find all threads of the process at work."""

    def __init__(self, consumer: Consumer, queue_name: str) -> None:
        self._consumer, self._loop = consumer, queue_name
        heartbeats.turned(queue_name)

    def __next__(self) -> MessageProxy | None:
        """The next message, or None."""
        with heartbeats.turn(self._loop):
            found: MessageProxy | None = next(self._consumer)
        return found

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
