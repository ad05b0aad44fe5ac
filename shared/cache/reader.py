"""The read path: the near cache first, then Redis, then PostgreSQL; it works while one of the servers is away."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Literal

import msgspec
import structlog
from opentelemetry import trace

from shared.cache import sheets
from shared.cache.commands import AsyncCache
from shared.cache.contracts import Contracts
from shared.cache.near import Held, NearCache
from shared.cache.rulebook import RulebookCopy
from shared.cache.sources import DatabaseSheets, RedisSheets, Unreadable
from shared.catalogue.price_lists import Pair
from shared.errors import DatabaseUnavailable
from shared.postgres.pools import AsyncPool
from shared.pricing.compiled import BoundSheet, Terms
from shared.pricing.entries import PriceEntry
from shared.pricing.query import PriceQuery
from shared.pricing.sheet import PriceSheet
from shared.telemetry.metrics import (
    NEAR_BYTES,
    NEAR_ENTRIES,
    NEAR_READS,
)
from shared.telemetry.tracing import tracer

log = structlog.get_logger(__name__)

Source = Literal["cache", "database"]
READ_AHEAD_EVERY_S = 0.2

_near_hit, _near_miss = NEAR_READS.labels("hit"), NEAR_READS.labels("miss")


class Found(msgspec.Struct, frozen=True, gc=False):
    """A sheet with its rules, and where it came from: `cache` is the near cache or Redis; None: it cannot be read."""

    bound: BoundSheet | None
    source: Source


class Basis(msgspec.Struct, frozen=True, gc=False):
    """What a price is computed from where no server is needed: a sheet of the near cache, and the rulebook."""

    bound: BoundSheet
    terms: Terms
    held: Held


class PriceReader:
    """Finds sheets and the rulebook for quotes; every wait is bounded, even while servers are away.

    Concurrent look-ups are batched into one command or statement. After five failures in a row a server gets no calls
    for a second. Without Redis, sheets come from PostgreSQL; without PostgreSQL, only cached sheets are found.
    """

    def __init__(
        self,
        cache: AsyncCache,
        database: AsyncPool,
        ttl_s: float,
        near: NearCache,
        traced: AsyncCache | None = None,
    ) -> None:
        """A reader of these servers.

        Args:
            cache: Redis.
            database: PostgreSQL.
            ttl_s: Lifetime of a sheet in Redis, ± 10 %.
            near: The near cache of this process.
            traced: An instrumented client of the same Redis, for requests whose trace is recorded; the
                instrumentation costs a third of a look-up even where no trace is recorded.
        """
        self._near = near
        self.rulebook = RulebookCopy(database, near)
        self._contracts = Contracts(cache, database)
        # Counted here, and added to the metrics five times a second: a metric costs as much as the look-up itself.
        self._near_hits = self._near_misses = 0
        self._redis = RedisSheets(cache, traced or cache, near, ttl_s)
        self._postgres = DatabaseSheets(database, self._redis, near)

    def held(self, product_id: str) -> Basis | None:
        """The sheet and the rulebook, if this process holds both and needs no server for them."""
        held, terms = self._near.held(product_id), self.rulebook.terms
        if held is None or terms is None or self._near.given(held) is None:
            return None
        self._near_hits += 1
        return Basis(held.bound(terms.rules), terms, held)

    def still_holds(self, held: Held, sheet: PriceSheet, terms: Terms | None) -> bool:
        """Whether the near cache would give this sheet now, and the rulebook is this one."""
        if self._near.given(held) is not sheet or self.rulebook.terms is not terms:
            return False
        self._near_hits += 1
        return True

    async def find(self, product_ids: Sequence[str]) -> tuple[dict[str, Found], Terms]:
        """The sheets of the products that exist, and the rulebook; looked up concurrently.

        Raises:
            DatabaseUnavailable: a sheet or the rulebook is not cached, and PostgreSQL is away.
        """
        terms = self.rulebook.terms or await self.rulebook.current()
        found: dict[str, Found] = {}
        missing: list[str] = []
        for product_id in dict.fromkeys(product_ids):
            held = self._near.held(product_id)
            if held is not None and self._near.given(held):
                found[product_id] = Found(held.bound(terms.rules), "cache")
            else:
                missing.append(product_id)
        self._near_hits += len(found)
        self._near_misses += len(missing)
        if missing:
            with _look_up_span(len(found) + len(missing), len(missing)):
                found |= await self._look_up(missing, terms)
        return found, terms

    async def find_one(self, product_id: str) -> tuple[Found | None, Terms]:
        """As `find`, for one product that is not `held`, and cheaper where no trace is recorded.

        Raises:
            DatabaseUnavailable: the sheet or the rulebook is not cached, and PostgreSQL is away.
        """
        terms = self.rulebook.terms
        if terms is None or trace.get_current_span().is_recording():
            found, terms = await self.find([product_id])
            return found.get(product_id), terms
        self._near_misses += 1
        cached = await self._redis.batched.get(product_id)
        if cached is not None:
            return (self._found(cached, "cache", terms) if isinstance(cached, PriceSheet) else None), terms
        stored = await self._postgres.batched.get(product_id)
        return (self._found(stored, "database", terms) if stored is not None else None), terms

    async def contracts(self, queries: Iterable[PriceQuery], terms: Terms) -> dict[Pair, tuple[PriceEntry, ...]]:
        """The entries of the customers that queries name, by product and customer.

        Raises:
            DatabaseUnavailable: a contract is not cached, and PostgreSQL is away.
        """
        if not terms.rules.lists:
            return {}
        pairs = [(query.product_id, query.customer_id) for query in queries if query.customer_id is not None]
        return await self._contracts.find(pairs) if pairs else {}

    async def read_ahead(self) -> None:
        """Loop: refresh hot sheets before they expire, repair doubted entries, flush counters."""
        while True:
            await asyncio.sleep(READ_AHEAD_EVERY_S)
            self.report()
            due = self._near.due()
            try:
                for start in range(0, len(due), sheets.BATCH):
                    await self._redis.look_up(due[start : start + sheets.BATCH])
                with suppress(DatabaseUnavailable):
                    await self._postgres.batched.get_all(list(self._redis.doubted))
            except Exception:
                log.exception("hot sheets not read ahead, queries wait for them")

    def report(self) -> None:
        """Add the counts since the last call to the metrics."""
        _near_hit.inc(self._near_hits)
        _near_miss.inc(self._near_misses)
        self._near_hits = self._near_misses = 0
        NEAR_ENTRIES.set(len(self._near))
        NEAR_BYTES.set(self._near.bytes_held)

    async def prepare(self) -> None:
        """Read the rulebook before the first query, so that cached prices need no PostgreSQL from then on."""
        await self.rulebook.read()

    async def cached_version(self, product_id: str) -> int | None:
        """The version of a product's sheet in Redis; None where Redis has no sheet or is away."""
        sheet = (await self._redis.look_up([product_id])).get(product_id)
        return sheet.version if isinstance(sheet, PriceSheet) else None

    async def _look_up(self, product_ids: Sequence[str], terms: Terms) -> dict[str, Found]:
        cached = await self._redis.batched.get_all(product_ids)
        found = {
            key: self._found(sheet, "cache", terms) for key, sheet in cached.items() if isinstance(sheet, PriceSheet)
        }
        if unknown := [product_id for product_id in product_ids if product_id not in cached]:
            stored = await self._postgres.batched.get_all(unknown)
            found |= {product_id: self._found(sheet, "database", terms) for product_id, sheet in stored.items()}
        return found

    def _found(self, sheet: PriceSheet | Unreadable, source: Source, terms: Terms) -> Found:
        if isinstance(sheet, Unreadable):
            return Found(None, source)
        held = self._near.held(sheet.product_id)
        is_held = held is not None and held.sheet is sheet
        return Found(held.bound(terms.rules) if held and is_held else BoundSheet(terms.rules, sheet), source)


def _look_up_span(products: int, not_held: int) -> AbstractContextManager[object]:
    """The span of a look-up within a recorded trace; otherwise no span."""
    if not trace.get_current_span().is_recording():
        return nullcontext()
    attributes = {"pricing.products": products, "pricing.near_misses": not_held}
    return tracer.start_as_current_span("look sheets up", attributes=attributes)
