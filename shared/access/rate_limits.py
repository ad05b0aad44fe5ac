"""Rate limits across all processes: token buckets in Redis, by GCRA."""

import math
import time
from collections.abc import Mapping
from typing import Literal

import msgspec
import redis
import redis.asyncio
from throttled.asyncio.rate_limiter import per_sec
from throttled.asyncio.store import RedisStore
from throttled.asyncio.store.redis import RedisStoreBackend
from throttled.asyncio.throttled import Throttled
from throttled.exceptions import BaseThrottledError

from shared.telemetry.metrics import RATE_LIMITED, RATE_LIMITS_SKIPPED

Kind = Literal["writes", "lists", "failed-keys", "prices"]
KEY_PREFIX = "pricing:rate"
# A bucket holds what a caller may send at once: so many seconds' worth.
BURST_S = 2
# After a failure of Redis, limits are off for this time. Otherwise each request would wait for Redis.
SKIP_S = 1.0


class Allowance(msgspec.Struct, frozen=True):
    """A caller's bucket after a request.

    Attributes:
        is_exceeded: The request found no token.
        most: The size of the bucket.
        left: Its tokens.
        full_in_s: The time until it is full again.
        retry_in_s: The time until the next token; 0 where the request found one.
    """

    kind: Kind
    is_exceeded: bool
    most: int
    left: int
    full_in_s: float
    retry_in_s: float

    def headers(self) -> dict[str, str]:
        """The headers of draft-ietf-httpapi-ratelimit-headers-10; `Retry-After` where the bucket is empty."""
        named = {
            "ratelimit-policy": f'"{self.kind}";q={self.most};w={BURST_S}',
            "ratelimit": f'"{self.kind}";r={self.left};t={math.ceil(self.full_in_s)}',
        }
        return named | ({"retry-after": str(max(1, math.ceil(self.retry_in_s)))} if self.is_exceeded else {})


class RateLimits:
    """One bucket for each kind of request and caller. While Redis is away, requests are let through and counted."""

    def __init__(self, client: redis.asyncio.Redis | redis.asyncio.RedisCluster, per_s: Mapping[Kind, int]) -> None:
        """Limits.

        Args:
            client: Redis; it bounds its waits.
            per_s: Requests a second of one caller, by kind; 0: without a limit.
        """
        store = _Store(client)
        self._buckets = {
            kind: Throttled(using="gcra", quota=per_sec(rate, rate * BURST_S), store=store, key_prefix=KEY_PREFIX)
            for kind, rate in per_s.items()
            if rate
        }
        self._away_until = float("-inf")

    async def take(self, kind: Kind, caller: str) -> Allowance | None:
        """Take a token of a caller; None: nothing limits it."""
        bucket = self._buckets.get(kind)
        if bucket is None:
            return None
        if time.monotonic() < self._away_until:
            RATE_LIMITS_SKIPPED.inc()
            return None
        try:
            result = await bucket.limit(f"{kind}:{caller}")
        except (BaseThrottledError, redis.RedisError, OSError):
            self._away_until = time.monotonic() + SKIP_S
            RATE_LIMITS_SKIPPED.inc()
            return None
        if result.limited:
            RATE_LIMITED.labels(kind).inc()
        state = result.state
        return Allowance(kind, result.limited, state.limit, state.remaining, state.reset_after, state.retry_after)


class _Backend(RedisStoreBackend):
    """The library's backend with a client of ours."""

    def __init__(self, client: redis.asyncio.Redis | redis.asyncio.RedisCluster) -> None:
        super().__init__()
        self._ours = client

    def get_client(self) -> redis.asyncio.Redis | redis.asyncio.RedisCluster:  # type: ignore[override] # a protocol of the library's
        return self._ours


class _Store(RedisStore):
    """The library's store with a client of ours."""

    def __init__(self, client: redis.asyncio.Redis | redis.asyncio.RedisCluster) -> None:
        super().__init__()
        self._backend = _Backend(client)
