"""The process's copy of all markets, for the read path."""

import asyncio
import time
from collections.abc import Mapping

import structlog

from shared.catalogue import markets
from shared.catalogue.database import AsyncPool
from shared.errors import DatabaseUnavailable, translated
from shared.pricing.models import DEFAULT_MARKET_CODE, Market

log = structlog.get_logger(__name__)

MAX_AGE_S = 1.0


class MarketsCopy:
    """Markets at most a second old, read again when a query finds the copy older than that."""

    def __init__(self, database: AsyncPool) -> None:
        self._database = database
        self._markets: Mapping[str, Market] = {}
        self._read_at = float("-inf")
        self._lock = asyncio.Lock()

    async def current(self) -> Mapping[str, Market]:
        """All markets by code; an older copy where PostgreSQL is away.

        Raises:
            DatabaseUnavailable: PostgreSQL is away and there is no copy.
        """
        if self._is_old():
            async with self._lock:
                if self._is_old():
                    await self._read()
        return self._markets

    async def _read(self) -> None:
        try:
            with translated():
                self._markets = await markets.load(self._database)
        except DatabaseUnavailable as error:
            if not self._markets:
                raise
            log.warning("markets are those of before", error=str(error))
        self._read_at = time.monotonic()

    def _is_old(self) -> bool:
        return time.monotonic() - self._read_at > MAX_AGE_S


def market_of(all_markets: Mapping[str, Market], location: str | None) -> Market:
    """The market of a location; the default one where it is unknown or not given."""
    return all_markets.get(location or DEFAULT_MARKET_CODE) or all_markets[DEFAULT_MARKET_CODE]
