"""Contract prices: the entries of one customer for one product, from Redis for a moment, else from PostgreSQL.

`pricing:contract:{length of product_id}:{product_id}:{customer_id}` holds both ids and the entries, also where there
are none. It lives for 1.5 s from the read in PostgreSQL on, so that a change is seen within this time without an
announcement, and ten million contracts need no room. The entries of all revisions are held: those that the rulebook
puts in force count from that moment on.
"""

import time
from collections.abc import Awaitable, Iterable, Sequence
from contextlib import suppress
from typing import cast

import msgspec
import redis
import redis.asyncio

from shared.cache.batching import Batcher
from shared.cache.breaker import Breaker
from shared.catalogue import price_lists
from shared.catalogue.price_lists import Contract, Pair
from shared.errors import DatabaseUnavailable, RedisUnavailable
from shared.postgres.pools import AsyncPool, bounded
from shared.pricing.entries import PriceEntry

TTL_MS = 1_500
CONCURRENCY, MOST_AT_ONCE = 4, 500


def key(product_id: str, customer_id: str) -> str:
    """The Redis key of a contract. The length keeps apart ids that contain colons."""
    return f"pricing:contract:{len(product_id)}:{product_id}:{customer_id}"


def decode(product_id: str, customer_id: str, value: bytes | None) -> Contract | None:
    """The contract in the value of its key; None: a miss, as is a value that is not this pair's."""
    if value is None:
        return None
    try:
        contract = _contract.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return contract if (contract.product_id, contract.customer_id) == (product_id, customer_id) else None


class Contracts:
    """Finds contracts: in Redis, else in PostgreSQL. Concurrent look-ups are batched."""

    def __init__(self, cache: redis.asyncio.Redis, database: AsyncPool) -> None:
        self._cache, self._database = cache, database
        self._redis, self._postgres = Breaker("redis", RedisUnavailable), Breaker("database", DatabaseUnavailable)
        self._batched: Batcher[Pair, Contract] = Batcher(self._look_up, CONCURRENCY, MOST_AT_ONCE)

    async def find(self, pairs: Iterable[Pair]) -> dict[Pair, tuple[PriceEntry, ...]]:
        """The entries of (product, customer) pairs.

        Raises:
            DatabaseUnavailable: Redis does not have one of them, and PostgreSQL is away.
        """
        return {pair: contract.entries for pair, contract in (await self._batched.get_all(pairs)).items()}

    async def _look_up(self, pairs: Sequence[Pair]) -> dict[Pair, Contract]:
        found = await self._cached(pairs)
        if missing := [pair for pair in pairs if pair not in found]:
            asked_at = time.monotonic()
            with self._postgres.guarded():
                stored = await bounded(price_lists.contracts(self._database, missing))
            with suppress(RedisUnavailable), self._redis.guarded():
                await fill(self._cache, stored.values(), round((time.monotonic() - asked_at) * 1_000))
            found |= stored
        return found

    async def _cached(self, pairs: Sequence[Pair]) -> dict[Pair, Contract]:
        try:
            with self._redis.guarded():
                values = cast(list[bytes | None], await self._cache.mget([key(*pair) for pair in pairs]))
        except RedisUnavailable:
            return {}
        read = {pair: decode(*pair, value) for pair, value in zip(pairs, values, strict=True)}
        return {pair: contract for pair, contract in read.items() if contract is not None}


async def fill(cache: redis.asyncio.Redis, contracts: Iterable[Contract], age_ms: int) -> None:
    """Put contracts that were read from PostgreSQL so many milliseconds ago."""
    if (lasting_ms := TTL_MS - age_ms) <= 0:
        return
    pipeline = cache.pipeline(transaction=False)
    for contract in contracts:
        pipeline.set(key(contract.product_id, contract.customer_id), msgspec.json.encode(contract), px=lasting_ms)
    await cast(Awaitable[object], pipeline.execute())


def forget(cache: redis.Redis, pairs: Sequence[Pair]) -> None:
    """Delete contracts at once. A read under way may put one again, for as long as a contract lives."""
    for start in range(0, len(pairs), _BATCH):
        cache.delete(*(key(*pair) for pair in pairs[start : start + _BATCH]))


_BATCH = 1_000
_contract = msgspec.json.Decoder(Contract)
