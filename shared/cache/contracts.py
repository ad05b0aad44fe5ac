"""Contract prices: the entries of one customer for one product, from Redis for a moment, else from PostgreSQL.

`pricing:contract:{length of product_id}:{product_id}:{customer_id}` holds both ids and the entries, also where there
are none. It lives for 1.5 s from the read in PostgreSQL on, so that a change is seen within this time without an
announcement, and ten million contracts need no room. The entries of all revisions are held: those that the rulebook
puts in force count from that moment on.
"""

import time
from collections.abc import Iterable, Sequence
from operator import attrgetter, itemgetter

import msgspec

from shared.cache import tags
from shared.cache.batching import Batcher
from shared.cache.breaker import Breaker
from shared.cache.commands import AsyncCache, Guarded, SyncCache, is_cluster, run
from shared.catalogue import price_lists
from shared.catalogue.price_lists import Contract, Pair
from shared.errors import DatabaseUnavailable, RedisUnavailable
from shared.messaging.cluster import Command, mget
from shared.postgres.pools import AsyncPool, bounded
from shared.pricing.entries import PriceEntry

TTL_MS = 1_500
CONCURRENCY, MOST_AT_ONCE = 4, 500


def key(product_id: str, customer_id: str, tag: str = tags.NONE) -> str:
    """The Redis key of a contract. The length keeps apart ids that contain colons."""
    return f"pricing:{tag}contract:{len(product_id)}:{product_id}:{customer_id}"


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

    def __init__(self, cache: AsyncCache, database: AsyncPool) -> None:
        self._cache, self._database = cache, database
        self._redis, self._postgres = Guarded(), Breaker("database", DatabaseUnavailable)
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
            age_ms = round((time.monotonic() - asked_at) * 1_000)
            if commands := filling(stored.values(), age_ms, is_cluster(self._cache)):
                await self._redis.run(self._cache, commands)
            found |= stored
        return found

    async def _cached(self, pairs: Sequence[Pair]) -> dict[Pair, Contract]:
        groups = tags.grouped(pairs, itemgetter(0), is_cluster(self._cache))
        commands = [mget(tag, [key(*pair, tag) for pair in of_tag]) for tag, of_tag in groups.items()]
        known: dict[Pair, Contract] = {}
        for of_tag, reply in zip(groups.values(), await self._redis.run(self._cache, commands), strict=True):
            if not isinstance(reply, RedisUnavailable):
                read = {pair: decode(*pair, value) for pair, value in zip(of_tag, reply, strict=True)}
                known |= {pair: contract for pair, contract in read.items() if contract is not None}
        return known


def filling(contracts: Iterable[Contract], age_ms: int, in_cluster: bool = False) -> list[Command]:
    """Commands that put contracts into Redis, which were read `age_ms` ago, for what is left of their lifetime."""
    if (lasting_ms := TTL_MS - age_ms) <= 0:
        return []
    groups = tags.grouped(contracts, attrgetter("product_id"), in_cluster)
    return [
        Command(tag, ("SET", key(each.product_id, each.customer_id, tag), msgspec.json.encode(each), "PX", lasting_ms))
        for tag, of_tag in groups.items()
        for each in of_tag
    ]


def forget(cache: SyncCache, pairs: Sequence[Pair]) -> None:
    """Delete contracts at once. A read under way may put one again, for as long as a contract lives."""
    for start in range(0, len(pairs), _BATCH):
        groups = tags.grouped(pairs[start : start + _BATCH], itemgetter(0), is_cluster(cache))
        run(cache, [Command(tag, ("DEL", key(*pair, tag))) for tag, of_tag in groups.items() for pair in of_tag])


_BATCH = 1_000
_contract = msgspec.json.Decoder(Contract)
