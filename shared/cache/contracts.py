"""Contract prices in Redis: the entries of one customer for one product, for a moment.

`pricing:contract:{length of product_id}:{product_id}:{customer_id}` holds both ids and the entries, also where there
are none. It lives for 1.5 s from the read in PostgreSQL on, so that a change is seen within this time without an
announcement, and ten million contracts need no room. The entries of all revisions are held: those that the rulebook
puts in force count from that moment on.
"""

from collections.abc import Awaitable, Iterable, Sequence
from typing import cast

import msgspec
import redis
import redis.asyncio

from shared.catalogue.price_lists import Contract, Pair

TTL_MS = 1_500


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
