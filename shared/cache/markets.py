"""An API process's copy of all markets, for the read path."""

import asyncio
import time
from collections.abc import Mapping

import structlog

from shared.cache.near import NearCache
from shared.errors import DatabaseUnavailable, translated
from shared.postgres import epochs
from shared.postgres.pools import AsyncPool, bounded
from shared.pricing.market import DEFAULT_MARKET_CODE, Market
from shared.rulebook import values

log = structlog.get_logger(__name__)

MAX_AGE_S = 1.0
# The copy is read again at this age, before it is too old, so that queries do not wait.
READ_AHEAD_S = 0.5
# The longest wait of a query for newer markets.
WAIT_S = 0.1


class MarketsCopy:
    """Markets at most a second old, read again when a query finds the copy older than that.

    The database's epoch is read with them, for the near cache.
    """

    def __init__(self, database: AsyncPool, near: NearCache) -> None:
        self._database, self._near = database, near
        self._markets: Mapping[str, Market] = {}
        self._read_at = self._began_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    def held(self) -> Mapping[str, Market] | None:
        """All markets by code, where they are less than a second old; they are read again ahead of that."""
        age_s = time.monotonic() - self._read_at
        if age_s > READ_AHEAD_S and self._reading is None:
            self._began_at = time.monotonic()
            self._reading = asyncio.create_task(self._read())
        return self._markets if self._markets and age_s <= MAX_AGE_S else None

    async def current(self) -> Mapping[str, Market]:
        """All markets by code; an older copy where PostgreSQL is away or slow.

        Raises:
            DatabaseUnavailable: PostgreSQL is away and there is no copy.
        """
        if held := self.held():
            return held
        # While PostgreSQL is slow, only the queries of a read's first moments wait for it.
        left_s = self._began_at + WAIT_S - time.monotonic()
        if self._reading is not None and (left_s > 0 or not self._markets):
            await asyncio.wait({self._reading}, timeout=left_s if self._markets else None)
        if not self._markets:
            raise DatabaseUnavailable("PostgreSQL: no markets read yet")
        return self._markets

    async def _read(self) -> None:
        try:
            with translated():
                self._near.enter(await bounded(epochs.current(self._database)), self._began_at)
                loaded = await bounded(values.markets(self._database))
                # Equal markets keep the same object, so that answers computed from it are known to be valid.
                self._markets = self._markets if self._markets == loaded else loaded
        except DatabaseUnavailable as error:
            log.warning("markets not read, the old copy is used", error=str(error))
        except Exception:
            log.exception("markets cannot be read")
        finally:
            self._read_at = time.monotonic()
            self._reading = None


def market_of(all_markets: Mapping[str, Market], location: str | None) -> Market:
    """The market of a location; the default market where the location is unknown or None."""
    return all_markets.get(location or DEFAULT_MARKET_CODE) or all_markets[DEFAULT_MARKET_CODE]
