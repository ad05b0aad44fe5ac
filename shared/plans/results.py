"""The result of a plan, as it is stored and shown."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from msgspec import Struct

from shared.catalogue.failures import ProductFailure
from shared.plans.sums import EDGES, Group, Mover, QuerySums, Sums
from shared.pricing.lint import Finding


class HistogramClass(Struct, frozen=True, rename={"above": "from", "below": "to"}):
    """A class of a histogram.

    Attributes:
        from: Its lower limit, as a share of the old price; null: none.
        to: Its upper limit; null: none.
        products: The number of prices in it.
    """

    above: Decimal | None
    below: Decimal | None
    products: int


class CategoryMoves(Struct, frozen=True):
    """Published prices of a category.

    Attributes:
        category: The category.
        products: The number of its products.
        rise: Products whose price rises.
        fall: Products whose price falls.
        mean_change: The mean change, as a share of the old price.
    """

    category: str
    products: int
    rise: int
    fall: int
    mean_change: Decimal


class MarketMoves(Struct, frozen=True):
    """Public prices in a market.

    Attributes:
        market: The market.
        products: The number of prices that move there.
        rise: Products whose price rises.
        fall: Products whose price falls.
        mean_change: The mean change, as a share of the old price.
    """

    market: str
    products: int
    rise: int
    fall: int
    mean_change: Decimal


class Movers(Struct, frozen=True):
    """The largest moves.

    Attributes:
        falls: Up to ten falls, the largest first.
        rises: Up to ten rises, the largest first.
    """

    falls: Sequence[Mover]
    rises: Sequence[Mover]


class PublicMoves(Struct, frozen=True):
    """Public prices, where the changes touch them.

    Attributes:
        at: The latest instant at which they were compared; null: none are touched.
        markets_left_out: Markets beyond the limit of a plan.
        markets: Those that move most, up to 200.
        histogram: The prices that move, by their change.
        movers: The largest moves.
    """

    at: datetime | None
    markets_left_out: int
    markets: Sequence[MarketMoves]
    histogram: Sequence[HistogramClass]
    movers: Movers


class PlanResult(Struct, frozen=True, kw_only=True):
    """The effect of a plan.

    Attributes:
        products: The planned products.
        rise: Products whose published price rises.
        fall: Products whose published price falls.
        stay: Products whose published price stays.
        created: Products that the plan creates.
        deleted: Products that the plan deletes.
        held: Products whose target waits for a person.
        released: Products whose hold ends.
        bounds: Products at a bound, by its name: floor or ceiling.
        undo: Of an undo: products by what it does with them.
        failed: Products that cannot be decided.
        failed_products: The first 100 of them.
        histogram: The published prices that move, by their change.
        categories: Those that move most, up to 200.
        movers: The largest moves of published prices.
        public: Public prices.
        queries: The shop's own queries, by name.
        findings: Rules without effect, and missing prices, up to 100.
    """

    products: int
    rise: int
    fall: int
    stay: int
    created: int
    deleted: int
    held: int
    released: int
    bounds: Mapping[str, int]
    undo: Mapping[str, int]
    failed: int
    failed_products: Sequence[ProductFailure]
    histogram: Sequence[HistogramClass]
    categories: Sequence[CategoryMoves]
    movers: Movers
    public: PublicMoves
    queries: Mapping[str, QuerySums]
    findings: Sequence[Finding]


def result_of(sums: Sums, findings: Sequence[Finding] = ()) -> PlanResult:
    """The sums as the plan's result shows them."""
    total, moved = sums.published, sums.published.rise + sums.published.fall
    return PlanResult(
        products=total.products,
        rise=total.rise,
        fall=total.fall,
        stay=total.products - moved,
        created=sums.created,
        deleted=sums.deleted,
        held=sums.held,
        released=sums.released,
        bounds=sums.bounds,
        undo=sums.undo,
        failed=sums.failed,
        failed_products=sums.failed_products,
        histogram=_classes(sums.histogram),
        categories=[CategoryMoves(*row) for row in _groups(sums.categories)],
        movers=_both_ways(sums.movers),
        public=PublicMoves(
            at=sums.public_at,
            markets_left_out=sums.markets_left_out,
            markets=[MarketMoves(*row) for row in _groups(sums.markets)],
            histogram=_classes(sums.public_histogram),
            movers=_both_ways(sums.public_movers),
        ),
        queries=sums.queries,
        findings=findings,
    )


def _classes(histogram: Mapping[int, int]) -> list[HistogramClass]:
    edges = (None, *EDGES, None)
    return [HistogramClass(edges[index], edges[index + 1], histogram[index]) for index in sorted(histogram)]


def _both_ways(movers: Iterable[Mover]) -> Movers:
    ordered = list(movers)
    return Movers([one for one in ordered if one.change < 0], [one for one in ordered if one.change > 0])


def _groups(groups: Mapping[str, Group], most: int = 200) -> list[tuple[str, int, int, int, Decimal]]:
    """Name, products, rise, fall and mean change of the groups that move most."""
    ordered = sorted(groups.items(), key=lambda item: (-item[1].rise - item[1].fall, item[0]))
    return [
        (
            name,
            group.products,
            group.rise,
            group.fall,
            round(group.change / group.products, 4) if group.products else Decimal(0),
        )
        for name, group in ordered[:most]
    ]
