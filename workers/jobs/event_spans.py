"""The spans of applied events: one per target, in the trace of its first event."""

from collections.abc import Mapping, Sequence

from opentelemetry.trace import get_current_span

from shared.market_events.records import Key, Outcome, WaitingEvent
from shared.telemetry import propagation
from shared.telemetry.tracing import tracer

MOST_LINKS = 100
WAITS = Outcome("received")


def record(waiting: Mapping[str, Sequence[WaitingEvent]], outcomes: Mapping[Key, Outcome], started_ns: int) -> None:
    """Record one span per target in the trace of its first event, with links to the other events.

    The SQL statements of a message with several targets are in the message's own trace.
    """
    message = get_current_span()
    for target, events in waiting.items():
        if not events:
            continue
        first, outcome = events[0], outcomes.get(events[-1].key, WAITS)
        carriers = [{"traceparent": event.traceparent, "tracestate": event.tracestate} for event in events[:MOST_LINKS]]
        links = [link for carrier in carriers if (link := propagation.link_to(carrier))]
        is_own = bool(links) and links[0].context.trace_id == message.get_span_context().trace_id
        attributes: dict[str, str | int] = {
            "pricing.market" if target.startswith("#") else "pricing.product_id": target.removeprefix("#"),
            "pricing.event_id": first.id,
            "pricing.events": len(events),
            "pricing.outcome": outcome.status,
        }
        if outcome.version is not None:
            attributes["pricing.version"] = outcome.version
        span = tracer.start_span(
            "apply events",
            context=None if is_own else propagation.extract(carriers[0]),
            attributes=attributes,
            links=[link for link in links if link.context.trace_id != links[0].context.trace_id],
            start_time=started_ns,
        )
        span.end()
