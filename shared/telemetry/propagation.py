"""W3C trace context: written to and read from headers, events and message options."""

import secrets
from collections.abc import Mapping, MutableMapping

from opentelemetry.context import Context
from opentelemetry.trace import Link, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_propagator = TraceContextTextMapPropagator()


def inject(carrier: MutableMapping[str, str]) -> None:
    """Write the current context as `traceparent` and, where it has one, `tracestate`."""
    _propagator.inject(carrier)


def current() -> dict[str, str]:
    """The current context as `traceparent` and `tracestate`; both empty outside a trace."""
    carrier = {"traceparent": "", "tracestate": ""}
    inject(carrier)
    return carrier


def fresh() -> str:
    """The `traceparent` of a new, sampled trace, for work without a request."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def extract(carrier: Mapping[str, str]) -> Context:
    """The context in a carrier; an empty one where the carrier has none, or an invalid one."""
    return _propagator.extract(carrier, context=Context())


def trace_id(traceparent: str) -> str:
    """The trace id in a `traceparent`; empty where it has none."""
    parts = traceparent.split("-")
    return parts[1] if len(parts) == 4 else ""


def link_to(carrier: Mapping[str, str]) -> Link | None:
    """A link to the span in a carrier; None where the carrier has none."""
    context = get_current_span(extract(carrier)).get_span_context()
    return Link(context) if context.is_valid else None
