"""The sums of a plan: of each partition, added up when the last one ends."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from shared.catalogue.failures import ProductFailure
from shared.pricing.explanation import Step
from shared.pricing.money import exact

MOVERS = 10
MOST_FAILURES = 100
_ZERO, _PLACES = Decimal(0), Decimal("0.000001")
# The lower limits of the histogram's classes, as shares of the old price; the class of 0 has what stays.
_HALF = ("0.01", "0.02", "0.05", "0.1", "0.2", "0.3", "0.5")
EDGES = tuple(Decimal(edge) for edge in (*(f"-{edge}" for edge in reversed(_HALF)), "0", *_HALF))


class Mover(Struct, frozen=True):
    """A price that moves far, with its explanations before and after.

    Attributes:
        product_id: The product.
        currency: The currency of its prices.
        old_steps: The steps to the price in force.
        new_steps: The steps to the planned price.
        market: The market of a public price; empty: the published price.
    """

    product_id: str
    currency: str
    old_price: Annotated[Decimal, Meta(description="The price in force.", examples=["50.00"])]
    new_price: Annotated[Decimal, Meta(description="The planned price.", examples=["45.00"])]
    change: Annotated[Decimal, Meta(description="The share of the old price.", examples=["-0.1"])]
    old_steps: tuple[Step, ...] = ()
    new_steps: tuple[Step, ...] = ()
    market: str = ""


class Group(Struct, omit_defaults=True):
    """The products of a category, or the public prices of a market.

    Attributes:
        products: Their number.
        change: The sum of the changes, as shares of the old prices.
    """

    products: int = 0
    rise: int = 0
    fall: int = 0
    change: Decimal = Decimal(0)

    def add(self, change: Decimal) -> None:
        """Count one product."""
        self.products += 1
        if change:
            self.rise += change > 0
            self.fall += change < 0
            self.change += change

    def merge(self, other: "Group") -> None:
        """Add the sums of another partition."""
        self.products += other.products
        self.rise += other.rise
        self.fall += other.fall
        self.change += other.change


class Money(Struct):
    """Revenue and margin by a query in one currency, before and after the changes, on its volumes.

    Attributes:
        revenue_before: Revenue before.
        revenue_after: Revenue after.
        margin_before: Margin before.
        margin_after: Margin after.
        without_cost: Products whose cost is not known in this currency: they have no margin.
    """

    revenue_before: Decimal = Decimal(0)
    revenue_after: Decimal = Decimal(0)
    margin_before: Decimal = Decimal(0)
    margin_after: Decimal = Decimal(0)
    without_cost: int = 0


class QuerySums(Struct):
    """What one of the shop's queries costs, over all products.

    Attributes:
        products: The products that it is made for.
        rise: Products that cost more.
        fall: Products that cost less.
        not_comparable: Products without a price before or after, or in another currency.
        money: By currency.
    """

    products: int = 0
    not_comparable: int = 0
    rise: int = 0
    fall: int = 0
    money: dict[str, Money] = {}

    def merge(self, other: "QuerySums") -> None:
        """Add the sums of another partition."""
        for name in ("products", "not_comparable", "rise", "fall"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for currency, more in other.money.items():
            mine = self.money.setdefault(currency, Money())
            for name in Money.__struct_fields__:
                setattr(mine, name, getattr(mine, name) + getattr(more, name))


class Sums(Struct):
    """What a partition adds up, or all of them.

    Attributes:
        published: All products.
        held: Products whose target waits for a person after the changes.
        released: Products whose hold the changes end.
        bounds: Products at a bound, by its name: `floor` or `ceiling`.
        histogram: The number of moved published prices by the index of their class; class 0 is below the first edge.
        categories: Of published prices.
        markets: Of the public prices that move.
        public_at: The latest instant at which public prices were compared; None: none are moved.
        markets_left_out: Markets beyond the limit of a plan.
        unpriced: The number of products without a public price after the changes, by market, and one of them.
        queries: By the name of the shop's query.
        movers: The largest moves of published prices, falls and rises; `public_movers`: of public prices.
    """

    published: Group = msgspec.field(default_factory=Group)
    created: int = 0
    deleted: int = 0
    held: int = 0
    released: int = 0
    bounds: dict[str, int] = {}
    histogram: dict[int, int] = {}
    categories: dict[str, Group] = {}
    markets: dict[str, Group] = {}
    movers: list[Mover] = []
    public_histogram: dict[int, int] = {}
    public_movers: list[Mover] = []
    public_at: datetime | None = None
    markets_left_out: int = 0
    unpriced: dict[str, tuple[int, str]] = {}
    queries: dict[str, QuerySums] = {}
    failed: int = 0
    failed_products: list[ProductFailure] = []
    undo: dict[str, int] = {}

    def merge(self, other: "Sums") -> None:
        """Add the sums of another partition."""
        with exact():
            self.published.merge(other.published)
            for mine, more in ((self.categories, other.categories), (self.markets, other.markets)):
                for name, group in more.items():
                    mine.setdefault(name, Group()).merge(group)
            for name, query in other.queries.items():
                self.queries.setdefault(name, QuerySums()).merge(query)
        self.created += other.created
        self.deleted += other.deleted
        self.held += other.held
        self.released += other.released
        self.bounds = dict(Counter(self.bounds) + Counter(other.bounds))
        self.histogram = dict(Counter(self.histogram) + Counter(other.histogram))
        self.public_histogram = dict(Counter(self.public_histogram) + Counter(other.public_histogram))
        self.movers = largest([*self.movers, *other.movers])
        self.public_movers = largest([*self.public_movers, *other.public_movers])
        self.public_at = max((at for at in (self.public_at, other.public_at) if at is not None), default=None)
        self.markets_left_out = max(self.markets_left_out, other.markets_left_out)
        self.undo = dict(Counter(self.undo) + Counter(other.undo))
        for market, (number, product_id) in other.unpriced.items():
            self.unpriced[market] = self.unpriced.get(market, (0, ""))[0] + number, product_id
        self.failed += other.failed
        self.failed_products = (self.failed_products + other.failed_products)[:MOST_FAILURES]


def change_of(old: Decimal | None, new: Decimal) -> Decimal:
    """The change as a share of the old price, with 6 decimals, not 0 where the price moves; from 0: 1."""
    if old is None or old == new:
        return _ZERO
    if not old:
        return Decimal(1)
    with exact():
        change = ((new - old) / old).quantize(_PLACES)
        return change or _PLACES.copy_sign(new - old)


def largest(movers: Iterable[Mover]) -> list[Mover]:
    """The ten largest falls and the ten largest rises, the largest first; of equal ones by their ids."""
    ordered = sorted(movers, key=lambda one: (one.change, one.product_id))
    falls = [one for one in ordered if one.change < 0][:MOVERS]
    ordered.sort(key=lambda one: (-one.change, one.product_id))
    return falls + [one for one in ordered if one.change > 0][:MOVERS]


def class_of(change: Decimal) -> int:
    """The index of the histogram's class of a change other than 0."""
    return sum(edge < change if change > 0 else edge <= change for edge in EDGES)
