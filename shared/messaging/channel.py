"""The Pub/Sub channels: `market_events` in, `price_changes` out; and clients that bound every wait."""

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import redis
import redis.asyncio
from opentelemetry.trace import SpanKind
from redis.backoff import NoBackoff
from redis.retry import Retry

from shared.market_events.events import CloudEvent
from shared.telemetry import spans
from shared.telemetry.tracing import tracer

MARKET_EVENTS = "market_events"
PRICE_CHANGES = "price_changes"
CHANGES_PER_MESSAGE = 1_000

CACHE_TIMEOUT_S = 0.25
COMMAND_TIMEOUT_S = 2.0


class PriceChanges(msgspec.Struct, frozen=True):
    """What `price_changes` carries, up to 1,000 at a time: `{"changes": [[product_id, version], …], "at": …}`.

    Attributes:
        changes: Products, and the versions that their sheets have now.
        at: When it was announced, in seconds since 1970.
    """

    changes: Sequence[tuple[str, int]]
    at: float = 0.0


def client(url: str, process: str) -> redis.Redis:
    """A sync client that waits 2 s at most and repeats nothing: retries are the caller's decision.

    Nothing is connected before the first command.
    """
    pool = redis.BlockingConnectionPool.from_url(url, **_options(process, COMMAND_TIMEOUT_S), timeout=0.5)
    return redis.Redis.from_pool(pool)


def cache_client(url: str, process: str) -> redis.asyncio.Redis:
    """An asyncio client for price queries: 0.25 s at most, for then PostgreSQL is the better answer."""
    options = _options(process, CACHE_TIMEOUT_S) | {"retry": redis.asyncio.retry.Retry(NoBackoff(), 0)}
    pool = redis.asyncio.BlockingConnectionPool.from_url(url, **options, timeout=0.25)
    return redis.asyncio.Redis.from_pool(pool)


@contextmanager
def sending(event_id: str) -> Iterator[None]:
    """The span of an event that is recorded and published; the event carries this span's context."""
    with tracer.start_as_current_span(
        f"send {MARKET_EVENTS}",
        kind=SpanKind.PRODUCER,
        attributes=spans.event(event_id, "send", MARKET_EVENTS),
    ):
        yield


def publish(events: redis.Redis, event: CloudEvent) -> int:
    """Publish an event on `market_events`; how many subscribers got it."""
    return int(events.publish(MARKET_EVENTS, msgspec.json.encode(event)))


def announce(events: redis.Redis, changes: Sequence[tuple[str, int]]) -> None:
    """Say on `price_changes` which products have which version, in messages of `PriceChanges`."""
    for start in range(0, len(changes), CHANGES_PER_MESSAGE):
        batch = changes[start : start + CHANGES_PER_MESSAGE]
        events.publish(PRICE_CHANGES, msgspec.json.encode(PriceChanges(batch, time.time())))


def _options(process: str, timeout_s: float) -> dict[str, Any]:
    # RESP2 keeps redis-py's guard against crossed replies, which RESP3 with its notifications turns off.
    return {
        "protocol": 2,
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "socket_keepalive": True,
        "retry": Retry(NoBackoff(), 0),
        "client_name": f"{process}@{socket.gethostname()}".replace(" ", "-"),
    }
