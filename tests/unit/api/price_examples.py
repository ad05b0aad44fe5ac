"""A price query, and a reader that holds what it is answered from."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from shared.cache.near import Held
from shared.cache.reader import Basis, Found
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

    def held(self, product_id: str) -> Basis | None:
        return Basis(self.sheet, self.markets, Held(self.sheet, b"", checked_at=0.0)) if self.holds else None

    def still_holds(self, basis: Basis) -> bool:
        return self.holds and basis.sheet is self.sheet and basis.markets is self.markets

    async def find_one(self, product_id: str) -> tuple[Found, Mapping[str, Market]]:
        self.looked_up.append(product_id)
        await self.before_find()
        return Found(self.sheet, "database"), self.markets


@dataclass
class Running:
    """The services that the fast_path reads."""

    reader: Reader
