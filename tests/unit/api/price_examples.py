"""A price query, and a reader that holds what it is answered from."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from shared.access.keys import LiveKey
from shared.cache.near import Held
from shared.cache.reader import Basis, Found
from shared.pricing.compiled import BoundSheet, Terms
from shared.pricing.sheet import PriceSheet
from shared.settings import Settings

BODY = b'{"product_id":"P-1","user_location":"NY"}'


@dataclass
class Reader:
    """Holds what a test gives it.

    Attributes:
        looked_up: The products that were not held.
        before_find: Awaited before a look-up's answer.
    """

    sheet: PriceSheet
    terms: Terms
    holds: bool = True
    looked_up: list[str] = field(default_factory=list)
    before_find: Callable[[], Awaitable[object]] = lambda: asyncio.sleep(0)

    def held(self, product_id: str) -> Basis | None:
        held = Held(self.sheet, b"", checked_at=0.0)
        return Basis(held.bound(self.terms.rules), self.terms, held) if self.holds else None

    def still_holds(self, held: Held, sheet: PriceSheet, terms: Terms | None) -> bool:
        return self.holds and held.sheet is sheet is self.sheet and terms is self.terms

    async def find_one(self, product_id: str) -> tuple[Found, Terms]:
        self.looked_up.append(product_id)
        await self.before_find()
        return Found(BoundSheet(self.terms.rules, self.sheet), "database"), self.terms


class Keys:
    """The key `reader` may read prices."""

    def held(self, key: str) -> LiveKey | None:
        return LiveKey(1, "shop", frozenset({"prices:read"}), "") if key == "reader" else None


@dataclass
class Running:
    """The services that the fast path reads; `keys` has the scopes of the keys that are live."""

    reader: Reader
    settings: Settings = field(default_factory=Settings)
    keys: Keys = field(default_factory=Keys)
