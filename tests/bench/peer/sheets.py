"""The peer's cache-aside: one GET per query, one row and one SET where Redis has nothing."""

import asyncio
from collections.abc import Mapping

import asyncpg
import msgspec
import redis.asyncio

from shared.pricing.market import Market
from shared.pricing.sheet import PriceSheet
from tests.bench.peer.models import Source
from tests.bench.peer.observing import CACHE_READ_DURATION, CACHE_READS, DATABASE_READ_DURATION

TTL_S = 3600
MARKETS_MAX_AGE_S = 1.0
_HIT, _MISS = CACHE_READS.labels("hit"), CACHE_READS.labels("miss")
_decoder = msgspec.json.Decoder(PriceSheet)


class Sheets:
    """Finds the sheets of products, and keeps the markets at most a second old."""

    def __init__(self, cache: redis.asyncio.Redis, database: asyncpg.Pool) -> None:
        self._cache, self._database = cache, database
        self.markets: Mapping[str, Market] = {}

    async def find(self, product_id: str) -> tuple[PriceSheet, Source] | None:
        """A product's sheet, and where it came from; None: no such product."""
        key = f"sheet:{product_id}"
        with CACHE_READ_DURATION.time():
            cached = await self._cache.get(key)
        if cached:
            _HIT.inc()
            return _decoder.decode(cached), "cache"
        _MISS.inc()
        with DATABASE_READ_DURATION.time():
            stored = await self._database.fetchval("SELECT sheet FROM prices WHERE product_id = $1", product_id)
        if stored is None:
            return None
        await self._cache.set(key, stored, ex=TTL_S)
        return _decoder.decode(stored), "database"

    async def read_markets(self) -> None:
        """Read all markets once."""
        rows = await self._database.fetch("SELECT code, multiplier, version FROM markets")
        self.markets = {row["code"]: Market(**row) for row in rows}

    async def refresh_markets(self) -> None:
        """Read all markets again and again, until cancelled."""
        while True:
            await asyncio.sleep(MARKETS_MAX_AGE_S)
            await self.read_markets()
