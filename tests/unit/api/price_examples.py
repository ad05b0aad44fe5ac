"""A price query, and a reader that holds what it is answered from."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from shared.cache.reader import Found
from shared.pricing.market import Market
from shared.pricing.sheet import PriceSheet

BODY = b'{"product_id":"P-1","user_location":"NY"}'


@dataclass
class Reader:
    """Holds what a test gives it.

    Attributes:
        looked_up: The products that were not held.
        before_find: Awaited before a look-up's answer.
    """

    sheet: PriceSheet
    markets: Mapping[str, Market]
    holds: bool = True
    looked_up: list[str] = field(default_factory=list)
    before_find: Callable[[], Awaitable[object]] = lambda: asyncio.sleep(0)

    def held(self, product_id: str) -> tuple[PriceSheet, Mapping[str, Market]] | None:
        return (self.sheet, self.markets) if self.holds else None

    async def find_one(self, product_id: str) -> tuple[Found, Mapping[str, Market]]:
        self.looked_up.append(product_id)
        await self.before_find()
        return Found(self.sheet, "database"), self.markets


@dataclass
class Running:
    """The services that the fast_path reads."""

    reader: Reader
