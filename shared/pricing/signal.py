"""Signals: the latest market data about one product."""

from decimal import Decimal
from typing import Literal

from msgspec import Struct

from shared.pricing import money


class Signal(Struct, frozen=True, kw_only=True):
    """A competitor's price of one product, or its demand index.

    `source` is the competitor, or the sender of the demand index. For a competitor `value` is an amount in
    `currency` with at most 4 decimals. For demand it is an index in [0.01, 100], where 1 is normal.
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
