"""Redis clients that bound every wait, and never retry."""

import socket
from typing import Any

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry

CACHE_TIMEOUT_S = 0.25
COMMAND_TIMEOUT_S = 2.0


def client(url: str, process: str) -> redis.Redis:
    """A sync client that waits 2 s at most and never retries: retries are the caller's decision.

    It connects with its first command.
    """
    pool = redis.BlockingConnectionPool.from_url(url, **_options(process, COMMAND_TIMEOUT_S), timeout=0.5)
    return redis.Redis.from_pool(pool)


def cache_client(url: str, process: str) -> redis.asyncio.Redis:
    """An asyncio client for price queries. It waits 0.25 s at most: after that PostgreSQL is the better source."""
    options = _options(process, CACHE_TIMEOUT_S) | {"retry": redis.asyncio.retry.Retry(NoBackoff(), 0)}
    pool = redis.asyncio.BlockingConnectionPool.from_url(url, **options, timeout=0.25)
    return redis.asyncio.Redis.from_pool(pool)


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
