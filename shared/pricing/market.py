"""Markets: a code and its multiplier."""

from decimal import Decimal
from functools import lru_cache

from msgspec import Struct

from shared.pricing import money

DEFAULT_MARKET_CODE = "DEFAULT"


@lru_cache(maxsize=1024)
def location_key(location: str) -> str:
    """A location as markets are looked up: without case and outer blanks."""
    return location.strip().casefold()


class Market(Struct, frozen=True, gc=False, kw_only=True):
    """One market: its multiplier, in [0.01, 100], is applied to every price that is quoted there."""

    code: str
    multiplier: Decimal
    version: int

    def __post_init__(self) -> None:
        money.multiplier("multiplier", self.multiplier)
