"""The rules of a strategy as data: competitors, demand, stock and cost-plus, in the order of their application."""

from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct

from shared.pricing import money

ShopNames = tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...]

_MOST = Decimal(100)


def _check_range(lowest: Decimal, highest: Decimal) -> None:
    money.multiplier("lowest", lowest)
    money.multiplier("highest", highest)
    if lowest > highest:
        raise ValueError("`lowest` must not be above highest")


class Within(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The range of offers that count, as multiples of the list price in [0.01, 100]; others are outliers."""

    lowest: Decimal = Decimal("0.3")
    highest: Decimal = Decimal(3)

    def __post_init__(self) -> None:
        _check_range(self.lowest, self.highest)


class Position(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The distance to the chosen price: `percent` of it, or an `amount` in the product's currency.

    `percent` is in percent, in [0, 100] with at most four decimals: 1 is 1 %.
    """

    percent: Decimal | None = None
    amount: Decimal | None = None
    side: Literal["below", "above"] = "below"

    def __post_init__(self) -> None:
        if (self.percent is None) == (self.amount is None):
            raise ValueError("`percent` must be given, or amount; one of the two")
        if self.percent is not None:
            money.number("percent", self.percent, Decimal(0), _MOST, 4)
        if self.amount is not None:
            money.amount("amount", self.amount)


class CompetitorRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"except_": "except"}):
    """Follow the competitors: choose a price among their offers, and take a position beside it.

    The result is held between `lowest` and `highest`, multiples of the list price in [0.01, 100].

    Attributes:
        pick: The chosen price; `nth` is the n-th lowest, and the highest where there are fewer.
        only: The competitors that count; empty: all.
        except_: Competitors that do not count, `except` in documents.
        own: Our own shops, whose offers are no competitors'. Names are compared without case.
        max_age_h: The age in hours from which an offer does not count any more; None: any age.
        within: Offers outside this range do not count; None: all of them do.
        with_shipping: Whether offers are compared with their shipping; an unknown one is 0.
        undercut: The share taken off the chosen price; the same as a `position` so far below.
        when_alone: The price where no offer counts: the list price, the price in force, the ceiling or the floor.
        direction: Whether the rule may raise the list price, lower it, or both.
    """

    pick: Literal["lowest", "highest", "average", "median", "nth"] = "lowest"
    n: Annotated[int, Meta(ge=1, le=100)] | None = None
    only: ShopNames = ()
    except_: ShopNames = ()
    own: ShopNames = ()
    max_age_h: Annotated[int, Meta(ge=1, le=87_600)] | None = 168
    within: Within | None = Within()
    with_shipping: bool = False
    position: Position | None = None
    undercut: Decimal = Decimal(0)
    when_alone: Literal["keep", "list", "ceiling", "floor"] = "list"
    direction: Literal["both", "up", "down"] = "both"
    lowest: Decimal
    highest: Decimal

    def __post_init__(self) -> None:
        if (self.pick == "nth") != (self.n is not None):
            raise ValueError("`n` must be given with pick nth, and only with it")
        money.share("undercut", self.undercut)
        if self.undercut and self.position is not None:
            raise ValueError("`undercut` must not stand beside position; leave one of them out")
        _check_range(self.lowest, self.highest)
        if self.direction == "up" and self.highest <= 1:
            raise ValueError("`direction` up must have a highest above 1, or the rule never applies")
        if self.direction == "down" and self.lowest >= 1:
            raise ValueError("`direction` down must have a lowest below 1, or the rule never applies")
        self._check_names()

    def _check_names(self) -> None:
        for field, names in (("except", self.except_), ("own", self.own)):
            if both := folded(names) & folded(self.only):
                raise ValueError(f"`{field}` must not name a competitor of only: {min(both)}")


class DemandRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Multiply by the demand index, held between `lowest` and `highest`, each in [0.01, 100]."""

    lowest: Decimal
    highest: Decimal

    def __post_init__(self) -> None:
        _check_range(self.lowest, self.highest)


class StockPoint(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The multiplier at one stock, in [0.01, 100]."""

    stock: Annotated[int, Meta(ge=0, le=1_000_000_000)]
    multiplier: Decimal

    def __post_init__(self) -> None:
        money.multiplier("multiplier", self.multiplier)


class StockRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Multiply by the stock's multiplier: on straight lines between the points, and constant outside them."""

    points: Annotated[tuple[StockPoint, ...], Meta(min_length=1, max_length=20)]

    def __post_init__(self) -> None:
        for index in range(1, len(self.points)):
            least = self.points[index - 1].stock + 1
            if self.points[index].stock < least:
                raise ValueError(f"`points[{index}].stock` must be {least} or more: points ascend")


class CostPlusRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Set the price to cost × (1 + markup), whatever the rules before it say; `markup` is in [0, 100]."""

    markup: Decimal

    def __post_init__(self) -> None:
        money.number("markup", self.markup, Decimal(0), _MOST, 4)


class Strategy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The market rules of a product, applied in this order; without rules the list price is published."""

    competitor: CompetitorRule | None = None
    demand: DemandRule | None = None
    stock: StockRule | None = None
    cost_plus: CostPlusRule | None = None


def folded(names: ShopNames) -> frozenset[str]:
    """Names of shops as they are compared."""
    return frozenset(map(str.casefold, names))
