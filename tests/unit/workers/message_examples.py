"""Messages as a worker takes them from a queue."""

from typing import Any

from dramatiq import Message, MessageProxy

from shared.messaging.messages import EVENTS_QUEUE, REPRICE_PRODUCTS


def taken(
    actor: str = REPRICE_PRODUCTS, queue: str = EVENTS_QUEUE, argument: object = ("P-1",), **options: Any
) -> MessageProxy:
    """A message with these options; a test's own actor may be named."""
    message: Message[None] = Message(queue, actor, (argument,), {}, options, message_id="m-1")
    return MessageProxy(message)
