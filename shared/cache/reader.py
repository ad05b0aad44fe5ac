"""The read path: cache-aside over versioned sheets. Redis is asked first, PostgreSQL knows the rest."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Literal

import msgspec
import redis
import redis.asyncio
import structlog
from circuitbreaker import CircuitBreaker
from opentelemetry import trace

from shared.cache import sheets
from shared.cache.markets import MarketsCopy
from shared.cache.sheets import CorruptSheet, Fill
from shared.catalogue import prices
from shared.catalogue.database import AsyncPool, bounded
from shared.errors import DatabaseUnavailable, RedisUnavailable, translated
from shared.metrics import CACHE_READS
from shared.pricing.models import Market, PriceSheet

log = structlog.get_logger(__name__)

Source = Literal["cache", "database"]
BREAKER_FAILURES = 5
BREAKER_OPEN_S = 1


class Found(msgspec.Struct, frozen=True):
    """A sheet, and where it came from."""

    sheet: PriceSheet
    source: Source


class _LookUp(msgspec.Struct):
    """What Redis knew: sheets, entries that do not decode, and its clock before the look-up (0: away)."""

    sheets: dict[str, PriceSheet] = {}
    corrupt: dict[str, bytes] = {}
    time_ms: int = 0


class PriceReader:
    """Finds sheets and markets for quotes; no look-up waits for long, whatever is away.

    After five failures in a row a server is not asked for a second (a circuit breaker each): without
    Redis PostgreSQL answers, without PostgreSQL what is cached still is answered.
    """

    def __init__(
        self,
        cache: redis.asyncio.Redis,
        database: AsyncPool,
        ttl_s: float,
        traced: redis.asyncio.Redis | None = None,
    ) -> None:
        """A reader of these servers.

        Args:
            cache: Redis.
            database: PostgreSQL.
            ttl_s: How long a sheet stays in Redis, ± 10 %.
            traced: An instrumented client of the same Redis, for requests whose trace is recorded; the
                instrumentation costs a third of a look-up also where nothing is.
        """
        self._cache, self._database, self._ttl_s = cache, database, ttl_s
        self._traced = traced or cache
        self._put = cache.register_script(sheets.PUT)
        self._markets = MarketsCopy(database)
        self._redis_breaker = CircuitBreaker(BREAKER_FAILURES, BREAKER_OPEN_S, RedisUnavailable, "redis")
        self._database_breaker = CircuitBreaker(BREAKER_FAILURES, BREAKER_OPEN_S, DatabaseUnavailable, "database")

    async def find(self, product_ids: Sequence[str]) -> tuple[dict[str, Found], Mapping[str, Market]]:
        """The sheets of those of the products that exist, and all markets; looked up concurrently.

        Raises:
            DatabaseUnavailable: something is not cached, and PostgreSQL is away.
        """
        return await asyncio.gather(self._sheets(list(dict.fromkeys(product_ids))), self._markets.current())

    async def prepare(self) -> None:
        """Read the markets before the first query, so that cached prices need no PostgreSQL from then on."""
        with suppress(DatabaseUnavailable):
            await self._markets.current()

    async def cached_version(self, product_id: str) -> int | None:
        """The version of a product's sheet in Redis; None where it holds none or is away."""
        sheet = (await self._look_up([product_id])).sheets.get(product_id)
        return sheet.version if sheet else None

    async def _sheets(self, product_ids: list[str]) -> dict[str, Found]:
        cached = await self._look_up(product_ids)
        found = {product_id: Found(sheet, "cache") for product_id, sheet in cached.sheets.items()}
        if missing := [product_id for product_id in product_ids if product_id not in found]:
            with _guarded(self._database_breaker, DatabaseUnavailable):
                stored = await bounded(prices.read_sheets(self._database, missing))
            await self._fill(stored, cached)
            found |= {sheet.product_id: Found(sheets.sheet_of(sheet), "database") for sheet in stored}
        return found

    def _client(self) -> redis.asyncio.Redis:
        return self._traced if trace.get_current_span().is_recording() else self._cache

    async def _look_up(self, product_ids: Sequence[str]) -> _LookUp:
        try:
            with _guarded(self._redis_breaker, RedisUnavailable):
                pipeline = self._client().pipeline(transaction=False)
                pipeline.time()
                pipeline.mget([sheets.key(product_id) for product_id in product_ids])
                (seconds, microseconds), entries = await pipeline.execute()
        except RedisUnavailable as error:
            CACHE_READS.labels("error").inc(len(product_ids))
            log.debug("redis away, reading the database", error=str(error))
            return _LookUp()
        looked_up = _LookUp(time_ms=seconds * 1000 + microseconds // 1000)
        for product_id, entry in zip(product_ids, entries, strict=True):
            CACHE_READS.labels(_take(looked_up, product_id, entry)).inc()
        return looked_up

    async def _fill(self, stored: Sequence[prices.StoredSheet], seen: _LookUp) -> None:
        if not stored or not seen.time_ms:
            return
        fills = [Fill(sheet, seen.corrupt.get(sheet.product_id, b"")) for sheet in stored]
        keys, arguments = sheets.fill_arguments(fills, self._ttl_s, seen.time_ms)
        try:
            with _guarded(self._redis_breaker, RedisUnavailable):
                await self._put(keys=keys, args=arguments, client=self._client())
        except RedisUnavailable as error:
            log.debug("redis away, sheets not cached", error=str(error))


def _take(into: _LookUp, product_id: str, entry: bytes | None) -> str:
    """Sort one entry in; what it was, for the counter."""
    if entry is None:
        return "miss"
    try:
        into.sheets[product_id] = sheets.decode(entry)
    except CorruptSheet as error:
        into.corrupt[product_id] = entry
        log.warning("corrupt cache entry", product_id=product_id, error=str(error))
        return "corrupt"
    return "hit"


@contextmanager
def _guarded(breaker: CircuitBreaker, away: type[RedisUnavailable] | type[DatabaseUnavailable]) -> Iterator[None]:
    """Refuse while the breaker is open, and let it see how the block ends.

    Raises:
        RedisUnavailable | DatabaseUnavailable: as `away` says, when the breaker is open or the server away.
    """
    if breaker.opened:
        raise away(f"{breaker.name} failed {breaker.failure_count} times, waiting a second")
    with breaker, translated():
        yield
