"""The peer's cache-aside: one GET per query, one row and one SET where Redis has nothing."""

import asyncio
from datetime import UTC, datetime

import asyncpg
import msgspec
import redis.asyncio

from shared.pricing.compiled import CompiledRulebook, Terms
from shared.pricing.exchange import MarketValues, Since
from shared.pricing.rulebook import Rulebook
from shared.pricing.sheet import PriceSheet
from tests.bench.peer.models import Source
from tests.bench.peer.observing import CACHE_READ_DURATION, CACHE_READS, DATABASE_READ_DURATION

TTL_S = 3600
MARKETS_MAX_AGE_S = 1.0
_HIT, _MISS = CACHE_READS.labels("hit"), CACHE_READS.labels("miss")
_decoder = msgspec.json.Decoder(PriceSheet)

_EVER = datetime(2000, 1, 1, tzinfo=UTC)
_MULTIPLIERS = """
SELECT DISTINCT ON (name) name, value FROM market_values WHERE kind = 'multiplier' ORDER BY name, since DESC, seq DESC
"""


class Sheets:
    """Finds the sheets of products, and keeps the rulebook and the markets at most a second old."""

    def __init__(self, cache: redis.asyncio.Redis, database: asyncpg.Pool) -> None:
        self._cache, self._database = cache, database
        self.terms = Terms(CompiledRulebook(Rulebook(), 0), MarketValues())

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
        """Read the rulebook and all multipliers once."""
        book = await self._database.fetchrow(
            "SELECT version, document::text FROM rulebooks ORDER BY version DESC LIMIT 1"
        )
        rows = await self._database.fetch(_MULTIPLIERS)
        rules = CompiledRulebook(msgspec.json.decode(book["document"], type=Rulebook), book["version"])
        self.terms = Terms(rules, MarketValues({row["name"]: (Since(_EVER, row["value"]),) for row in rows}))

    async def refresh_markets(self) -> None:
        """Read all markets again and again, until cancelled."""
        while True:
            await asyncio.sleep(MARKETS_MAX_AGE_S)
            await self.read_markets()
