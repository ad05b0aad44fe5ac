"""The Pub/Sub channels: `market_events` in, `price_changes` and `rulebook` out."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec
import redis
import redis.asyncio
import structlog
from opentelemetry.trace import SpanKind

from shared.telemetry import spans
from shared.telemetry.tracing import tracer

log = structlog.get_logger(__name__)

MARKET_EVENTS = "market_events"
PRICE_CHANGES = "price_changes"
RULEBOOK = "rulebook"
CHANGES_PER_MESSAGE = 1_000


class PriceChanges(msgspec.Struct, frozen=True):
    """A message on `price_changes`, of up to 1,000 changes: `{"changes": [[product_id, version], …], "at": …}`.

    Attributes:
        changes: Products and the current versions of their sheets.
        at: The time of the announcement, in seconds since 1970.
    """

    changes: Sequence[tuple[str, int]]
    at: float = 0.0


class RulebookChange(msgspec.Struct, frozen=True):
    """A message on `rulebook`: a new rulebook, or new market values, are committed.

    Attributes:
        version: The rulebook's new version; None: it is the same.
        values_version: The market values' new version; None: they are the same.
        at: The time of the announcement, in seconds since 1970.
    """

    version: int | None = None
    values_version: int | None = None
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


def announce_rulebook(events: redis.Redis, version: int | None = None, values_version: int | None = None) -> None:
    """Announce a new rulebook or new market values on `rulebook`.

    Each process also reads the versions twice a second, so that an announcement may be lost.
    """
    try:
        events.publish(RULEBOOK, msgspec.json.encode(RulebookChange(version, values_version, time.time())))
    except redis.RedisError as error:
        log.warning("redis away, processes find the new rulebook within a second", error=str(error))
