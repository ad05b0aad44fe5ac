"""The Pub/Sub channels: `market_events` in, `price_changes` out."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec
import redis
import redis.asyncio
from opentelemetry.trace import SpanKind

from shared.telemetry import spans
from shared.telemetry.tracing import tracer

MARKET_EVENTS = "market_events"
PRICE_CHANGES = "price_changes"
CHANGES_PER_MESSAGE = 1_000


class PriceChanges(msgspec.Struct, frozen=True):
    """A message on `price_changes`, of up to 1,000 changes: `{"changes": [[product_id, version], …], "at": …}`.

    Attributes:
        changes: Products and the current versions of their sheets.
        at: The time of the announcement, in seconds since 1970.
    """

    changes: Sequence[tuple[str, int]]
    at: float = 0.0


@contextmanager
def sending(event_id: str) -> Iterator[None]:
    """The span of an event that is recorded and published; the event carries this span's context."""
    with tracer.start_as_current_span(
        f"send {MARKET_EVENTS}",
        kind=SpanKind.PRODUCER,
        attributes=spans.event(event_id, "send", MARKET_EVENTS),
    ):
        yield


def publish(events: redis.Redis, messages: Sequence[bytes]) -> None:
    """Publish events, each a CloudEvent in JSON, on `market_events`, in this order."""
    with events.pipeline(transaction=False) as pipeline:
        for message in messages:
            pipeline.publish(MARKET_EVENTS, message)
        pipeline.execute()


def announce(events: redis.Redis, changes: Sequence[tuple[str, int]]) -> None:
    """Announce products and their versions on `price_changes`, in messages of `PriceChanges`."""
    for start in range(0, len(changes), CHANGES_PER_MESSAGE):
        batch = changes[start : start + CHANGES_PER_MESSAGE]
        events.publish(PRICE_CHANGES, msgspec.json.encode(PriceChanges(batch, time.time())))
