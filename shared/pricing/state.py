"""The state of a product's price: everything that a decision needs beside product, signals and policy."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct

Instant = Annotated[datetime, Meta(tz=True)]
HoldCode = Literal["hold_above", "below_cost", "breaker"]

DAY = timedelta(days=1)
MOST_KEPT = 32


class PastPrice(Struct, frozen=True, gc=False, array_like=True):
    """A published price and the instant at which it came into force."""

    at: Instant
    price: Decimal


Past = tuple[PastPrice, ...]


class Pause(Struct, frozen=True, gc=False, kw_only=True):
    """A pause of automation for the product, its category or everything; `until` None: until it is resumed.

    Attributes:
        in_promotion: Whether it stands for the open window of a promotion; the policy says whether it counts.
    """

    reason: str
    until: Instant | None = None
    in_promotion: bool = False


class ManualPrice(Struct, frozen=True, gc=False, kw_only=True):
    """A price that a person set; with `below_floor` the floor follows it."""

    price: Decimal
    reason: str
    until: Instant | None = None
    below_floor: bool = False


class Hold(Struct, frozen=True, gc=False, kw_only=True):
    """A target that waits for a person: it is too far away, below the cost, or the breaker is open."""

    target: Decimal
    code: HoldCode
    reason: str
    since: Instant
    expires_at: Instant


class PriceState(Struct, frozen=True, gc=False, kw_only=True):
    """The state of one product's price. Amounts are in the product's currency; prices in another one are left out.

    Attributes:
        past: The prices of the last 24 hours, the one in force at their beginning first, as `remember` keeps them; the
            last one is in force. Empty: no price yet.
        pauses: The pauses that reach the product.
        manual: The manual price.
        hold: The open hold.
        approved: A target below the cost that a person approved, as an earlier decision returned it.
        is_stopped: Whether the breaker is open.
    """

    past: Past = ()
    pauses: tuple[Pause, ...] = ()
    manual: ManualPrice | None = None
    hold: Hold | None = None
    approved: Decimal | None = None
    is_stopped: bool = False

    @property
    def price(self) -> Decimal | None:
        """The price in force."""
        return self.past[-1].price if self.past else None


NEW = PriceState()


def is_over(until: datetime | None, at: datetime) -> bool:
    """Whether an end is reached; None never ends."""
    return until is not None and until <= at


def price_at(past: Past, at: datetime) -> Decimal | None:
    """The price in force at an instant; None: there was none yet, or it is not known any more."""
    found = None
    for entry in past:
        if entry.at > at:
            break
        found = entry.price
    return found


def remember(past: Past, price: Decimal, at: datetime) -> Past:
    """The prices of the 24 hours before `at`, with this one in force from then on.

    At most 32 entries are kept. Where there are more, those go first whose neighbours are closest together.
    """
    kept = list(past)
    while len(kept) > 1 and kept[1].at <= at - DAY:
        del kept[0]
    if not kept or kept[-1].price != price:
        kept.append(PastPrice(at, price))
    while len(kept) > MOST_KEPT:
        # Neither the first one nor the one in force.
        del kept[min(range(1, len(kept) - 1), key=lambda index: kept[index + 1].at - kept[index - 1].at)]
    return tuple(kept)
