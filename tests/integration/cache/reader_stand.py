"""A reader behind proxies to Redis and PostgreSQL, for tests that take either away."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

import msgspec

from shared.cache.contracts import Contracts
from shared.cache.near import NearCache
from shared.cache.reader import Found, PriceReader
from shared.messaging import clients
from shared.postgres import pools
from shared.pricing.sheet import PriceSheet
from shared.settings import Settings
from tests.support.proxy import Proxy, proxy_to

TTL_S = 1000.0


DEADLINE_S = 20.0


class Stand(NamedTuple):
    """A reader, and the proxies to what it reads."""

    reader: PriceReader
    near: NearCache
    contracts: Contracts
    redis: Proxy
    postgres: Proxy

    async def sources(self, *product_ids: str) -> dict[str, str]:
        found, _ = await self.reader.find(product_ids)
        return {product_id: hit.source for product_id, hit in found.items()}


@asynccontextmanager
async def stand(settings: Settings, near_entries: int) -> AsyncIterator[Stand]:
    async with AsyncExitStack() as stack:
        to_redis = stack.enter_context(proxy_to(settings.redis_for("cache")))
        to_postgres = stack.enter_context(proxy_to(settings.database_url))
        by_proxies = msgspec.structs.replace(settings, database_url=to_postgres.url())
        pool = pools.read_pool(by_proxies, "tests", size=4)
        await pool.open()
        stack.push_async_callback(pool.close)
        cache = clients.cache_client(to_redis.url(), "tests")
        stack.push_async_callback(cache.aclose)
        near = NearCache(near_entries, max_bytes=1_000_000)
        reader = PriceReader(cache, pool, TTL_S, near)
        await reader.prepare()
        keeping_fresh = asyncio.create_task(reader.rulebook.keep_fresh())
        stack.callback(keeping_fresh.cancel)
        yield Stand(reader, near, Contracts(cache, pool), to_redis, to_postgres)


def run(settings: Settings, test: Callable[[Stand], Coroutine[None, None, None]], near_entries: int = 0) -> None:
    """Run a test's coroutine with a stand of its own; without a near cache unless it is about that."""

    async def on_a_stand() -> None:
        async with stand(settings, near_entries) as own:
            await test(own)

    asyncio.run(on_a_stand())


async def eventually(look: Callable[[], Awaitable[bool]], what: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while not await look():
        assert time.monotonic() < end, what
        await asyncio.sleep(0.05)


def version_of(found: Found) -> int:
    return sheet_in(found).version


def sheet_in(found: Found) -> PriceSheet:
    assert found.bound
    return found.bound.sheet


async def versions(reader: PriceReader, ids: list[str], source: str) -> set[int]:
    """The versions of products that all come from a source; none: one came from elsewhere."""
    found, _ = await reader.find(ids)
    if len(found) < len(ids) or {hit.source for hit in found.values()} != {source}:
        return set()
    return {version_of(hit) for hit in found.values()}


async def are_served(reader: PriceReader, ids: list[str], source: str, version: int) -> bool:
    """Whether all products are read from a source, in a version."""
    return await versions(reader, ids, source) == {version}
