"""Signals: what the market last said about one product."""

from decimal import Decimal
from typing import Literal

from msgspec import Struct

from shared.pricing import money


class Signal(Struct, frozen=True, kw_only=True):
    """What the market says about one product: a competitor's price, or the demand index.

    `source` is the competitor, or who measured the demand. `value` is an amount in `currency` (at most
    4 decimals) for a competitor, and an index in [0.01, 100] where 1 is normal for demand.
    """

    kind: Literal["competitor", "demand"]
    source: str
    value: Decimal
    currency: str | None = None
    in_stock: bool = True

    def __post_init__(self) -> None:
        if self.kind == "demand":
            money.multiplier("value", self.value)
        else:
            money.amount("value", self.value)
