"""The read path: the near cache first, then Redis, then PostgreSQL; whatever is away."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Literal, cast

import msgspec
import redis
import redis.asyncio
import structlog
from circuitbreaker import CircuitBreaker
from opentelemetry import trace

from shared.cache import sheets
from shared.cache.batching import Batcher
from shared.cache.markets import MarketsCopy
from shared.cache.near import NearCache
from shared.cache.sheets import CorruptSheet, Fill
from shared.errors import DatabaseUnavailable, RedisUnavailable, translated
from shared.postgres.pools import AsyncPool, bounded
from shared.prices import published
from shared.pricing.market import Market
from shared.pricing.sheet import PriceSheet
from shared.telemetry.metrics import (
    BREAKER_OPEN,
    CACHE_READ_DURATION,
    CACHE_READS,
    DATABASE_READ_DURATION,
    NEAR_BYTES,
    NEAR_ENTRIES,
    NEAR_READS,
)
from shared.telemetry.tracing import tracer

log = structlog.get_logger(__name__)

Source = Literal["cache", "database"]
BREAKER_FAILURES = 5
BREAKER_OPEN_S = 1

READ_AHEAD_EVERY_S = 0.2
REDIS_LANES = 2
DATABASE_LANES = 4
# What one look-up asks for at most; 500 is also the most that one request may ask for.
LOOK_UP = 500

_near_hit, _near_miss = NEAR_READS.labels("hit"), NEAR_READS.labels("miss")


class Found(msgspec.Struct, frozen=True, gc=False):
    """A sheet, and where it came from: `cache` is the near cache or Redis."""

    sheet: PriceSheet
    source: Source


class _Missing(msgspec.Struct, frozen=True):
    """Redis remembers that there is no such product."""


class PriceReader:
    """Finds sheets and markets for quotes; no look-up waits for long, whatever is away.

    What several ask for at a time is looked up once, in one command or statement. After five failures in a
    row a server is not asked for a second (a circuit breaker each): without Redis PostgreSQL answers, without
    PostgreSQL what is cached still is answered.
    """

    def __init__(
        self,
        cache: redis.asyncio.Redis,
        database: AsyncPool,
        ttl_s: float,
        near: NearCache,
        traced: redis.asyncio.Redis | None = None,
    ) -> None:
        """A reader of these servers.

        Args:
            cache: Redis.
            database: PostgreSQL.
            ttl_s: How long a sheet stays in Redis, ± 10 %.
            near: What this process holds of Redis.
            traced: An instrumented client of the same Redis, for requests whose trace is recorded; the
                instrumentation costs a third of a look-up also where nothing is.
        """
        self._cache, self._database, self._ttl_s, self._near = cache, database, ttl_s, near
        self._traced = traced or cache
        self._markets = MarketsCopy(database)
        # Counted here and brought into the metrics with each tick: there it would cost as much as the look-up.
        self._near_hits = self._near_misses = 0
        self._redis_breaker = CircuitBreaker(BREAKER_FAILURES, BREAKER_OPEN_S, RedisUnavailable, "redis")
        self._database_breaker = CircuitBreaker(BREAKER_FAILURES, BREAKER_OPEN_S, DatabaseUnavailable, "database")
        self._from_redis = Batcher(self._ask_redis, REDIS_LANES, LOOK_UP)
        self._from_database = Batcher(self._ask_database, DATABASE_LANES, LOOK_UP)
        for breaker in (self._redis_breaker, self._database_breaker):
            BREAKER_OPEN.labels(breaker.name).set(0)
        # Entries that did not decode, until they are replaced.
        self._corrupt: dict[str, bytes] = {}

    def held(self, product_id: str) -> tuple[PriceSheet, Mapping[str, Market]] | None:
        """The sheet and the markets, where this process holds both and nobody needs to be asked."""
        sheet, markets = self._near.get(product_id), self._markets.held()
        if sheet is None or markets is None:
            return None
        self._near_hits += 1
        return sheet, markets

    async def find(self, product_ids: Sequence[str]) -> tuple[dict[str, Found], Mapping[str, Market]]:
        """The sheets of those of the products that exist, and all markets; looked up concurrently.

        Raises:
            DatabaseUnavailable: something is not cached, and PostgreSQL is away.
        """
        found: dict[str, Found] = {}
        missing: list[str] = []
        for product_id in dict.fromkeys(product_ids):
            if sheet := self._near.get(product_id):
                found[product_id] = Found(sheet, "cache")
            else:
                missing.append(product_id)
        self._near_hits += len(found)
        self._near_misses += len(missing)
        markets = self._markets.held()
        if markets is not None and not missing:
            return found, markets
        with _look_up_span(len(found) + len(missing), len(missing)):
            if markets is not None:
                return found | await self._look_up(missing), markets
            looked_up, current = await asyncio.gather(self._look_up(missing), self._markets.current())
        return found | looked_up, current

    async def find_one(self, product_id: str) -> tuple[Found | None, Mapping[str, Market]]:
        """As `find`, for one product that is not `held`; with less around it where no trace is recorded.

        Raises:
            DatabaseUnavailable: it is not cached, and PostgreSQL is away.
        """
        markets = self._markets.held()
        if markets is None or trace.get_current_span().is_recording():
            found, markets = await self.find([product_id])
            return found.get(product_id), markets
        self._near_misses += 1
        cached = await self._from_redis.get(product_id)
        if cached is not None:
            return (Found(cached, "cache") if isinstance(cached, PriceSheet) else None), markets
        stored = await self._from_database.get(product_id)
        return (Found(stored, "database") if stored is not None else None), markets

    async def read_ahead(self) -> None:
        """Ask Redis for what is asked for often before its second is over, heal what is corrupt, report; for ever."""
        while True:
            await asyncio.sleep(READ_AHEAD_EVERY_S)
            self.report()
            due = self._near.due()
            try:
                for start in range(0, len(due), sheets.BATCH):
                    await self._ask_redis(due[start : start + sheets.BATCH])
                with suppress(DatabaseUnavailable):
                    await self._from_database.get_all(list(self._corrupt))
            except Exception:
                log.exception("sheets are not read ahead, queries wait for them")

    def report(self) -> None:
        """Bring what was counted since the last time into the metrics."""
        _near_hit.inc(self._near_hits)
        _near_miss.inc(self._near_misses)
        self._near_hits = self._near_misses = 0
        NEAR_ENTRIES.set(len(self._near))
        NEAR_BYTES.set(self._near.bytes_held)

    async def prepare(self) -> None:
        """Read the markets before the first query, so that cached prices need no PostgreSQL from then on."""
        with suppress(DatabaseUnavailable):
            await self._markets.current()

    async def cached_version(self, product_id: str) -> int | None:
        """The version of a product's sheet in Redis; None where it holds none or is away."""
        sheet = (await self._ask_redis([product_id])).get(product_id)
        return sheet.version if isinstance(sheet, PriceSheet) else None

    async def _look_up(self, product_ids: Sequence[str]) -> dict[str, Found]:
        cached = await self._from_redis.get_all(product_ids)
        found = {key: Found(sheet, "cache") for key, sheet in cached.items() if isinstance(sheet, PriceSheet)}
        if unknown := [product_id for product_id in product_ids if product_id not in cached]:
            stored = await self._from_database.get_all(unknown)
            found |= {product_id: Found(sheet, "database") for product_id, sheet in stored.items()}
        return found

    def _client(self) -> redis.asyncio.Redis:
        return self._traced if trace.get_current_span().is_recording() else self._cache

    async def _ask_redis(self, product_ids: Sequence[str]) -> dict[str, PriceSheet | _Missing]:
        """One MGET; what Redis has no usable answer for is left out."""
        asked_at = time.monotonic()
        # As bytes, since redis-py takes longer to encode a text than to send it.
        keys = [sheets.GENERATION.encode(), *[sheets.key(product_id).encode() for product_id in product_ids]]
        try:
            with _guarded(self._redis_breaker, RedisUnavailable), CACHE_READ_DURATION.time():
                generation, *entries = cast(list[bytes | None], await self._client().mget(keys))
        except RedisUnavailable as error:
            CACHE_READS.labels("error").inc(len(product_ids))
            log.debug("redis away, reading the database", error=str(error))
            return {}
        known: dict[str, PriceSheet | _Missing] = {}
        results: Counter[str] = Counter()
        for product_id, entry in zip(product_ids, entries, strict=True):
            result, value = self._read_entry(product_id, entry, generation, asked_at)
            results[result] += 1
            if value is not None:
                known[product_id] = value
        for result, number in results.items():
            CACHE_READS.labels(result).inc(number)
        return known

    def _read_entry(
        self, product_id: str, entry: bytes | None, generation: bytes | None, asked_at: float
    ) -> tuple[str, PriceSheet | _Missing | None]:
        """What an entry was, for the counter, and what it holds."""
        if entry and (held := self._near.confirm(product_id, entry, asked_at)):
            return "hit", held
        if entry is None or sheets.is_absence(entry):
            still_missing = entry == sheets.negative_entry(generation)
            return ("missing", _Missing()) if still_missing else ("miss", None)
        try:
            return "hit", self._near.put(sheets.decode(entry), entry, asked_at)
        except CorruptSheet as error:
            self._corrupt[product_id] = entry
            log.warning("corrupt cache entry", product_id=product_id, error=str(error))
            return "corrupt", None

    async def _ask_database(self, product_ids: Sequence[str]) -> dict[str, PriceSheet]:
        """One statement; what it finds, and what it does not find, is put into Redis."""
        clock = await self._redis_clock()
        asked_at = time.monotonic()
        with _guarded(self._database_breaker, DatabaseUnavailable), DATABASE_READ_DURATION.time():
            stored = await bounded(published.read_sheets(self._database, product_ids))
        seen = {product_id: self._corrupt.pop(product_id, b"") for product_id in product_ids}
        if clock is not None:
            time_ms, generation = clock
            found = {sheet.product_id: sheet for sheet in stored}
            fills = [Fill(found.get(key) or sheets.negative(key, generation), entry) for key, entry in seen.items()]
            await self._fill(fills, time_ms)
        return {
            sheet.product_id: self._near.put(sheets.sheet_of(sheet), sheets.entry(sheet).encode(), asked_at)
            for sheet in stored
        }

    async def _redis_clock(self) -> tuple[int, bytes | None] | None:
        """Redis' time in milliseconds and how many generation it knows of; None where it is away."""
        try:
            with _guarded(self._redis_breaker, RedisUnavailable):
                pipeline = self._client().pipeline(transaction=False)
                pipeline.time()
                pipeline.get(sheets.GENERATION)
                (seconds, microseconds), generation = await pipeline.execute()
        except RedisUnavailable:
            return None
        return seconds * 1000 + microseconds // 1000, generation

    async def _fill(self, fills: Sequence[Fill], read_at_ms: int) -> None:
        try:
            for start in range(0, len(fills), sheets.BATCH):
                keys, arguments = sheets.fill_arguments(fills[start : start + sheets.BATCH], self._ttl_s, read_at_ms)
                with _guarded(self._redis_breaker, RedisUnavailable):
                    await cast(Awaitable[object], self._client().eval(sheets.PUT, len(keys), *keys, *arguments))
        except RedisUnavailable as error:
            log.debug("redis away, sheets not cached", error=str(error))


def _look_up_span(products: int, not_held: int) -> AbstractContextManager[object]:
    """The span of a look-up in a trace that is recorded; in another nothing."""
    if not trace.get_current_span().is_recording():
        return nullcontext()
    attributes = {"pricing.products": products, "pricing.near_misses": not_held}
    return tracer.start_as_current_span("look sheets up", attributes=attributes)


@contextmanager
def _guarded(breaker: CircuitBreaker, away: type[RedisUnavailable] | type[DatabaseUnavailable]) -> Iterator[None]:
    """Refuse while the breaker is open, and let it see how the block ends.

    Raises:
        RedisUnavailable | DatabaseUnavailable: as `away` says, when the breaker is open or the server away.
    """
    if breaker.opened:
        raise away(f"{breaker.name} failed {breaker.failure_count} times, waiting a second")
    was_closed = breaker.closed
    try:
        with breaker, translated():
            yield
    finally:
        if breaker.closed != was_closed:
            log.warning("server asked again" if breaker.closed else "server given up for a second", server=breaker.name)
            BREAKER_OPEN.labels(breaker.name).set(not breaker.closed)
