"""Common attributes of spans, by OpenTelemetry's conventions."""

from typing import Literal

from opentelemetry.trace import get_current_span


def annotate(**attributes: str | int | None) -> None:
    """Set the engine's attributes on the current span, as `pricing.NAME`; None is left out."""
    known = {f"pricing.{name}": value for name, value in attributes.items() if value is not None}
    get_current_span().set_attributes(known)


def messaging(
    system: Literal["redis", "dramatiq"],
    operation: Literal["send", "receive", "process"],
    destination: str,
    message_id: str | None = None,
) -> dict[str, str]:
    """The attributes of a span that sends or takes a message."""
    attributes = {
        "messaging.system": system,
        "messaging.operation.type": operation,
        "messaging.destination.name": destination,
    }
    return attributes if message_id is None else attributes | {"messaging.message.id": message_id}


def event(event_id: str, operation: Literal["send", "receive", "process"], destination: str) -> dict[str, str]:
    """The attributes of a span about one market event on its channel."""
    return messaging("redis", operation, destination, event_id) | {"pricing.event_id": event_id}
