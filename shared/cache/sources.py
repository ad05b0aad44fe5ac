"""The two sources of sheets behind the near cache: Redis, and PostgreSQL, which fills Redis.

Each source has a breaker, and batches concurrent look-ups.
"""

import time
from collections import Counter
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

import msgspec
import structlog
from opentelemetry import trace

from shared.cache import sheets, tags
from shared.cache.batching import Batcher
from shared.cache.breaker import Breaker
from shared.cache.commands import AsyncCache, Guarded, is_cluster
from shared.cache.near import NearCache
from shared.cache.sheets import CorruptSheet, Fill
from shared.errors import DatabaseUnavailable, RedisUnavailable
from shared.messaging.cluster import Command, mget
from shared.postgres.pools import AsyncPool, bounded
from shared.prices import published
from shared.prices.new_versions import StoredSheet
from shared.pricing.sheet import PriceSheet
from shared.telemetry.metrics import CACHE_READ_DURATION, CACHE_READS, DATABASE_READ_DURATION, UNREADABLE_SHEETS

log = structlog.get_logger(__name__)

REDIS_CONCURRENCY = 2
DATABASE_CONCURRENCY = 4
# The largest number of products in one look-up, as in one request.
LOOK_UP = 500

# Redis' time in milliseconds, and the generation of the catalogue.
Clock = tuple[int, bytes | None]
# The clock of each tag whose server answers. In a cluster each node has its own time.
Clocks = dict[str, Clock]


class Missing(msgspec.Struct, frozen=True):
    """A negative entry of Redis: there is no such product."""


class Unreadable(msgspec.Struct, frozen=True):
    """A row of PostgreSQL whose sheet cannot be read: the product exists, and has no price."""


class RedisSheets:
    """Sheets in Redis; while Redis is away every sheet is a miss."""

    def __init__(self, cache: AsyncCache, traced: AsyncCache, near: NearCache, ttl_s: float) -> None:
        """A source.

        Args:
            cache: Redis.
            traced: An instrumented client of the same Redis, for requests whose trace is recorded.
            near: Receives the sheets that are read.
            ttl_s: Lifetime of a sheet in Redis, ± 10 %.
        """
        self._cache, self._traced, self._near, self._ttl_s = cache, traced, near, ttl_s
        self._is_cluster = is_cluster(cache)
        self._guarded = Guarded()
        self.batched: Batcher[str, PriceSheet | Missing] = Batcher(self.look_up, REDIS_CONCURRENCY, LOOK_UP)
        # Entries that did not decode, or that contradict a later version, until PostgreSQL was read.
        self.doubted: dict[str, bytes] = {}

    async def look_up(self, product_ids: Sequence[str]) -> dict[str, PriceSheet | Missing]:
        """Read sheets and negative entries by one MGET for each tag; products without a usable entry are left out."""
        asked_at = time.monotonic()
        groups = tags.grouped(product_ids, str, self._is_cluster)
        with CACHE_READ_DURATION.time():
            replies = await self._run([_mget(tag, ids) for tag, ids in groups.items()])
        known: dict[str, PriceSheet | Missing] = {}
        results: Counter[str] = Counter()
        for ids, reply in zip(groups.values(), replies, strict=True):
            if isinstance(reply, RedisUnavailable):
                results["error"] += len(ids)
                log.debug("redis away, reading the database", error=str(reply))
                continue
            generation, *entries = reply
            for product_id, entry in zip(ids, entries, strict=True):
                result, value = self._read_entry(product_id, entry, generation, asked_at)
                results[result] += 1
                if value is not None:
                    known[product_id] = value
        for result, number in results.items():
            CACHE_READS.labels(result).inc(number)
        return known

    async def clocks(self, product_ids: Sequence[str]) -> Clocks:
        """Time and generation, by which a fill never undoes a later write."""
        groups = tags.grouped(product_ids, str, self._is_cluster)
        replies = await self._run([sheets.clock(tag) for tag in groups])
        return {
            tag: (int(reply[0]) * 1000 + int(reply[1]) // 1000, reply[2])
            for tag, reply in zip(groups, replies, strict=True)
            if not isinstance(reply, RedisUnavailable)
        }

    async def fill(self, product_ids: Sequence[str], stored: Sequence[StoredSheet], clocks: Clocks) -> None:
        """Put PostgreSQL's sheets of these products, as of `clocks`; products without one get negative entries."""
        seen = {product_id: self.doubted.pop(product_id, b"") for product_id in product_ids}
        epoch = stored[0].epoch if stored else self._near.epoch
        if epoch is None:
            return
        found = {sheet.product_id: sheet for sheet in stored}
        for start in range(0, len(product_ids), sheets.BATCH):
            groups = tags.grouped(product_ids[start : start + sheets.BATCH], str, self._is_cluster)
            commands = []
            for tag, (read_at_ms, generation) in clocks.items():
                fills = [
                    Fill(found.get(key) or sheets.negative(key, generation, epoch), seen[key])
                    for key in groups.get(tag, ())
                ]
                if fills:
                    commands.append(sheets.fill(fills, self._ttl_s, read_at_ms, tag))
            if commands:
                await self._run(commands)

    def _run(self, commands: Sequence[Command]) -> Awaitable[list[Any]]:
        return self._guarded.run(self._client(), commands)

    def _client(self) -> AsyncCache:
        return self._traced if trace.get_current_span().is_recording() else self._cache

    def _read_entry(
        self, product_id: str, entry: bytes | None, generation: bytes | None, asked_at: float
    ) -> tuple[str, PriceSheet | Missing | None]:
        """The kind of an entry, for the counter, and its value."""
        if entry and (held := self._near.confirm(product_id, entry, asked_at)):
            return "hit", held
        if entry is None:
            return "miss", None
        parts = sheets.parts(entry)
        if parts.is_mark or parts.is_absence:
            is_missing = parts.is_of(self._near.epoch) and sheets.is_current_absence(parts, generation)
            return ("missing", Missing()) if is_missing else ("miss", None)
        try:
            sheet = sheets.decode(product_id, entry)
        except CorruptSheet as error:
            self.doubted[product_id] = entry
            log.warning("corrupt cache entry", product_id=product_id, error=str(error))
            return "corrupt", None
        if not parts.is_of(self._near.epoch):
            return "miss", None
        if self._near.contradicts(sheet, asked_at):
            # Redis is behind for a moment, or what is held is untrue: PostgreSQL decides soon, and no query waits.
            self.doubted[product_id] = entry
        return "hit", self._near.put(sheet, entry, asked_at)


class DatabaseSheets:
    """Sheets in PostgreSQL; each look-up fills Redis."""

    def __init__(self, database: AsyncPool, cached: RedisSheets, near: NearCache) -> None:
        self._database, self._cached, self._near = database, cached, near
        self._breaker = Breaker("database", DatabaseUnavailable)
        self.batched: Batcher[str, PriceSheet | Unreadable] = Batcher(self.look_up, DATABASE_CONCURRENCY, LOOK_UP)

    async def look_up(self, product_ids: Sequence[str]) -> Mapping[str, PriceSheet | Unreadable]:
        """Read sheets by one statement; products that do not exist are left out.

        A sheet that cannot be read is counted, named in the log, and put into no cache.

        Raises:
            DatabaseUnavailable: PostgreSQL is away.
        """
        clocks = await self._cached.clocks(product_ids)
        asked_at = time.monotonic()
        with self._breaker.guarded(), DATABASE_READ_DURATION.time():
            stored = await bounded(published.read_sheets(self._database, product_ids))
        if stored:
            self._near.enter(stored[0].epoch, asked_at)
        known = {sheet.product_id: self._read(sheet, asked_at) for sheet in stored}
        unreadable = {product_id for product_id, sheet in known.items() if isinstance(sheet, Unreadable)}
        await self._cached.fill(
            [product_id for product_id in product_ids if product_id not in unreadable],
            [sheet for sheet in stored if sheet.product_id not in unreadable],
            clocks,
        )
        return known

    def _read(self, stored: StoredSheet, asked_at: float) -> PriceSheet | Unreadable:
        try:
            sheet = sheets.sheet_of(stored)
        except CorruptSheet as error:
            UNREADABLE_SHEETS.inc()
            log.error("unreadable sheet in PostgreSQL", product_id=stored.product_id, error=str(error))
            return Unreadable()
        if stored.epoch != self._near.epoch:
            return sheet
        return self._near.put(sheet, sheets.entry(stored).encode(), asked_at, from_database=True)


def _mget(tag: str, product_ids: Sequence[str]) -> Command:
    # Keys are bytes: redis-py takes longer to encode a string than to send it.
    keys = [sheets.generation_key(tag).encode(), *[sheets.key(product_id, tag).encode() for product_id in product_ids]]
    return mget(tag, keys)
