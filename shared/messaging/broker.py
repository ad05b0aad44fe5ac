"""The Dramatiq broker on Redis, with this engine's bounds in place of Dramatiq's defaults."""

from collections.abc import Sequence

import redis
from dramatiq.broker import Broker
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Middleware
from dramatiq_abort import Abortable
from dramatiq_abort.backends import RedisBackend

NAMESPACE = "pricing:dramatiq"
# A worker that says nothing for 15 s is gone; others look on every tenth command. The defaults, 60 s and
# every thousandth, left a killed worker's messages waiting for up to 13 minutes.
HEARTBEAT_TIMEOUT_MS = 15_000
MAINTENANCE_PER_MILLION = 100_000
# Longer than a message can wait between two attempts.
ABORT_TTL_MS = 600_000


def create(client: redis.Redis, middleware: Sequence[Middleware] = ()) -> Broker:
    """A broker that nothing global knows of; senders need no middleware.

    Args:
        client: Connected to the Redis of the queues.
        middleware: In the order in which they see a message before its actor; the reverse after it.
    """
    broker: Broker = RedisBroker(  # type: ignore[no-untyped-call] # Dramatiq has no types here
        client=client,
        middleware=list(middleware),
        namespace=NAMESPACE,
        heartbeat_timeout=HEARTBEAT_TIMEOUT_MS,
        maintenance_chance=MAINTENANCE_PER_MILLION,
    )
    return broker


def abortable(client: redis.Redis) -> Abortable:
    """The middleware that interrupts a running actor, and the way to tell it so."""
    return Abortable(backend=RedisBackend(client=client, namespace=f"{NAMESPACE}:aborts:"), abort_ttl=ABORT_TTL_MS)
