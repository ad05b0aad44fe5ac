"""An API process's copy of the rulebook and the market values, compiled for the read path."""

import asyncio
import time
from contextlib import suppress

import structlog

from shared.cache.near import NearCache
from shared.errors import DatabaseUnavailable, translated
from shared.postgres.pools import AsyncPool, bounded
from shared.pricing.compiled import CompiledRulebook, Terms
from shared.rulebook import store
from shared.rulebook.store import Loaded

log = structlog.get_logger(__name__)

READ_EVERY_S = 0.5
# Announcements within this time cause one reading.
GATHER_S = 0.05


class RulebookCopy:
    """The compiled rulebook with the market values: read when a change is announced, and twice a second anyway.

    The database's epoch is read with them, for the near cache. While PostgreSQL is away, the last copy stays in force.

    Attributes:
        terms: The copy; the same object while nothing has changed. None: nothing was read yet.
    """

    def __init__(self, database: AsyncPool, near: NearCache) -> None:
        self._database, self._near = database, near
        self.terms: Terms | None = None
        self._loaded: Loaded | None = None
        self._is_up = True
        self._announced = asyncio.Event()

    def read_soon(self) -> None:
        """Read again within milliseconds: a change was announced. Call it on the event loop."""
        self._announced.set()

    async def keep_fresh(self) -> None:
        """Loop: read again and again."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._announced.wait(), READ_EVERY_S)
                await asyncio.sleep(GATHER_S)
            self._announced.clear()
            await self.read()

    async def current(self) -> Terms:
        """The copy; before the first one it is read.

        Raises:
            DatabaseUnavailable: PostgreSQL is away and there is no copy.
        """
        if self.terms is None:
            await self.read()
        if self.terms is None:
            raise DatabaseUnavailable("PostgreSQL: no rulebook read yet")
        return self.terms

    async def read(self) -> None:
        """Read what has changed. Without PostgreSQL, the copy stays."""
        began_at = time.monotonic()
        try:
            with translated():
                loaded = await bounded(store.load(self._database, self._loaded))
            self._near.enter(loaded.epoch, began_at)
            if loaded is not self._loaded:
                # On a thread, so that a large rulebook holds up no query.
                self.terms = await asyncio.to_thread(_compiled, loaded, self.terms, self._loaded)
                self._loaded = loaded
            if not self._is_up:
                log.info("the rulebook is read again")
            self._is_up = True
        except DatabaseUnavailable as error:
            if self._is_up:
                log.warning("the rulebook is not read, the old copy is used", error=str(error))
            self._is_up = False
        except Exception:
            log.exception("the rulebook cannot be read, the old copy is used")


def _compiled(loaded: Loaded, former: Terms | None, former_loaded: Loaded | None) -> Terms:
    is_same = former is not None and former_loaded is not None and loaded.rulebook is former_loaded.rulebook
    rules = former.rules if former is not None and is_same else CompiledRulebook(loaded.rulebook, loaded.version)
    return Terms(rules, loaded.values)
