"""The trace of a message, continued around each attempt."""

import threading
import time
from typing import Any

from dramatiq import Broker, Message, MessageProxy
from dramatiq.middleware import Middleware
from opentelemetry.context import attach, detach
from opentelemetry.trace import Span, SpanKind, StatusCode, set_span_in_context

from shared.messaging import messages
from shared.telemetry import propagation
from shared.telemetry.tracing import tracer

ENQUEUED_AT_MS = "enqueued_at_ms"


class Tracing(Middleware):
    """Continues the trace that a message carries: a consumer span around each attempt.

    Spans are kept per thread and not in the message: its options are JSON and return to the queue.
    """

    def __init__(self) -> None:
        self._current = threading.local()

    def before_enqueue(self, broker: Broker, message: Message[Any], delay: int | None) -> None:
        """Note the time at which a message enters its queue; a retry enters it after its delay."""
        message.options[ENQUEUED_AT_MS] = int(time.time() * 1000)

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        """Start the span; `pricing.queue_wait_ms` is the message's time in its queue."""
        span = tracer.start_span(
            f"process {message.queue_name}",
            context=propagation.extract(message.options),
            kind=SpanKind.CONSUMER,
            attributes={
                "messaging.system": "dramatiq",
                "messaging.operation.type": "process",
                "messaging.destination.name": message.queue_name,
                "messaging.message.id": message.message_id,
                "pricing.actor": message.actor_name,
                "pricing.retries": message.options.get("retries", 0),
                "pricing.queue_wait_ms": waited_ms(message),
            }
            | _subject(message),
        )
        self._current.span, self._current.token = span, attach(set_span_in_context(span))

    def after_process_message(
        self,
        broker: Broker,
        message: MessageProxy,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        """End the span."""
        span: Span = self._current.span
        if exception is not None:
            span.record_exception(exception)
            span.set_status(StatusCode.ERROR, type(exception).__name__)
        detach(self._current.token)
        span.end()

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
        """End the span of a message that was cancelled."""
        self.after_process_message(broker, message)


def waited_ms(message: MessageProxy) -> int:
    """The time of a message in its queue since it was due, in milliseconds."""
    due_ms: int = message.options.get(ENQUEUED_AT_MS, message.message_timestamp)
    return max(0, int(time.time() * 1000) - due_ms)


def _subject(message: MessageProxy) -> dict[str, str]:
    """The attribute by which a search finds the trace: the message's product, market or task."""
    [argument] = message.args
    match message.actor_name:
        case messages.REPRICE_PRODUCTS:
            return {"pricing.product_id": argument[0]} if len(argument) == 1 else {}
        case messages.CHANGE_MARKET:
            return {"pricing.market": argument}
        case _:
            return {"pricing.task_id": argument}
