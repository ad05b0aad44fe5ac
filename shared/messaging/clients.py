"""Redis clients that bound every wait, never retry, and disconnect from a server that refuses writes."""

import socket
from typing import Any

import redis
import redis.asyncio
import structlog
from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from redis.backoff import NoBackoff
from redis.exceptions import ReadOnlyError
from redis.retry import Retry

from shared import addresses
from shared.messaging import sentinel
from shared.messaging.cluster import AsyncCluster, Cluster
from shared.settings import Settings

log = structlog.get_logger(__name__)

CACHE_TIMEOUT_S = 0.25
COMMAND_TIMEOUT_S = 2.0
SYNC_WAIT_S = 0.5


def warn_of_shared_database(settings: Settings) -> None:
    """Log a warning where the queues are in the database of the sheets."""
    if settings.broker_shares_database:
        log.warning("the broker shares a Redis database with the cache: set PRICING_BROKER_URL to another one")


def client(url: str, process: str) -> redis.Redis:
    """A sync client that waits 2 s at most and never retries: retries are the caller's decision.

    It connects with its first command.
    """
    options = _options(process, COMMAND_TIMEOUT_S)
    if behind := addresses.sentinels_of(url):
        return redis.Redis.from_pool(sentinel.pool(behind, SYNC_WAIT_S, options))
    pool = redis.BlockingConnectionPool.from_url(url, **options, timeout=SYNC_WAIT_S)
    pool.connection_class = _leaving(pool.connection_class)
    return redis.Redis.from_pool(pool)


def sheets_client(url: str, process: str) -> redis.Redis | Cluster:
    """As `client`, for the cache, which may be a cluster."""
    hosts = addresses.cluster_of(url)
    return Cluster(hosts, _options(process, COMMAND_TIMEOUT_S)) if hosts else client(url, process)


def cache_client(url: str, process: str) -> redis.asyncio.Redis | AsyncCluster:
    """An asyncio client for price queries. It waits 0.25 s at most: after that PostgreSQL is the better source."""
    options = _options(process, CACHE_TIMEOUT_S) | {"retry": redis.asyncio.retry.Retry(NoBackoff(), 0)}
    if hosts := addresses.cluster_of(url):
        return AsyncCluster(hosts, options)
    if behind := addresses.sentinels_of(url):
        return redis.asyncio.Redis.from_pool(sentinel.async_pool(behind, CACHE_TIMEOUT_S, options))
    pool = redis.asyncio.BlockingConnectionPool.from_url(url, **options, timeout=CACHE_TIMEOUT_S)
    pool.connection_class = _leaving_async(pool.connection_class)
    return redis.asyncio.Redis.from_pool(pool)


def trace(client: redis.Redis | redis.asyncio.Redis | Cluster | AsyncCluster, provider: TracerProvider) -> None:
    """Make a span for each command of a client; `Cluster` does so itself."""
    if not isinstance(client, Cluster):
        RedisInstrumentor.instrument_client(client, tracer_provider=provider)


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


def _leaving(kind: type[Any]) -> type[Any]:
    """A class of connections that disconnect when their server replies that it is a replica now.

    After a failover the host name leads to another server, and the old connection would stay open and useless. The
    connections of `sentinel` do the same by themselves.
    """

    class Leaving(kind):  # type: ignore[misc] # the base class is known only at run time
        def read_response(self, *args: Any, **options: Any) -> Any:
            try:
                return super().read_response(*args, **options)
            except ReadOnlyError:
                self.disconnect()
                raise

    return Leaving


def _leaving_async(kind: type[Any]) -> type[Any]:
    """As `_leaving`, for asyncio."""

    class Leaving(kind):  # type: ignore[misc] # the base class is known only at run time
        async def read_response(self, *args: Any, **options: Any) -> Any:
            try:
                return await super().read_response(*args, **options)
            except ReadOnlyError:
                await self.disconnect(nowait=True)
                raise

    return Leaving
