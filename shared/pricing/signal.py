"""Signals: the latest market data about one product."""

from datetime import datetime
from decimal import Decimal
from typing import Literal

from msgspec import Struct

from shared.pricing import money


class Signal(Struct, frozen=True, gc=False, kw_only=True):
    """A competitor's price of one product, or its demand index.

    For a competitor `value` is an amount in `currency` with at most 4 decimals. For demand it is an index in
    [0.01, 100], where 1 is normal.

    Attributes:
        source: The competitor, or the sender of the demand index.
        shipping: The shipping beside a competitor's price, in the same currency; None: unknown.
        at: The instant of the signal; None: unknown, it never becomes too old.
        expires_at: The instant from which it does not count any more; None: none.
    """

    kind: Literal["competitor", "demand"]
    source: str
    value: Decimal
    currency: str | None = None
    in_stock: bool = True
    shipping: Decimal | None = None
    at: datetime | None = None
    expires_at: datetime | None = None

    def __post_init__(self) -> None:
        if self.kind == "demand":
            money.multiplier("value", self.value)
        else:
            money.amount("value", self.value)
            if self.shipping is not None:
                money.amount("shipping", self.shipping)
