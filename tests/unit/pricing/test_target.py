"""The order of the rules, stock and cost-plus, and the bounds by name."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from shared.pricing.decision import Decision, decide
from shared.pricing.market_rules import CompetitorRule, CostPlusRule, DemandRule, StockPoint, StockRule, Strategy
from shared.pricing.policy import Policy
from tests.support.pricing_examples import NOON, competitor, demand, policy, product, state
from tests.support.repricing import HOUR, Shelf

COMPETITOR = CompetitorRule(lowest=Decimal("0.5"), highest=Decimal("1.2"))
DEMAND = DemandRule(lowest=Decimal("0.8"), highest=Decimal("1.25"))


def stock_rule(*points: tuple[int, str]) -> StockRule:
    return StockRule(points=tuple(StockPoint(stock=stock, multiplier=Decimal(factor)) for stock, factor in points))


SCARCE = stock_rule((0, "1.5"), (10, "1.2"), (100, "1"), (1000, "0.7"))


def rules(strategy: Strategy, **fields: Any) -> Policy:
    return policy(strategies={"one": strategy}, default_strategy="one", **fields)


def decided(strategy: Strategy, *signals: Any, limits: dict[str, Any] | None = None, **facts: Any) -> Decision:
    return decide(product(**facts), signals, rules(strategy, **(limits or {})), state(None), NOON)


def test_the_rules_apply_in_the_documented_order() -> None:
    strategy = Strategy(
        cost_plus=CostPlusRule(markup=Decimal("0.5")), stock=SCARCE, demand=DEMAND, competitor=COMPETITOR
    )
    facts: dict[str, Any] = {"stock": 10, "cost": Decimal(60), "min_price": Decimal(95), "max_price": Decimal(200)}
    got = decided(strategy, demand("1.1"), competitor("80"), **facts)
    assert [(step.rule, str(step.after)) for step in got.steps] == [
        ("list_price", "100.00"),
        ("competitor", "80.00"),
        ("demand", "88.00"),
        ("stock", "105.60"),
        ("cost_plus", "90.00"),
        ("floor", "95.00"),
    ]


def test_a_demand_index_counts_until_it_expires() -> None:
    shelf = Shelf(product(), rules(Strategy(demand=DEMAND)))
    shelf.take(replace(demand("1.2", "web"), expires_at=NOON + HOUR), demand("1.1", "shops"))
    assert (shelf.price, shelf.last.next_due) == ("115.00", NOON + HOUR)
    shelf.follow(HOUR)
    assert (shelf.price, shelf.last.steps[-1].reason) == ("110.00", "demand index 1.1")
    (line,) = shelf.last.rejected
    assert (line.code, line.reason) == ("stale_signal", "web: index expired at 2026-03-01T13:00:00+00:00")


@pytest.mark.parametrize(
    ("stock", "price"),
    [(0, "150.00"), (5, "135.00"), (11, "119.78"), (55, "110.00"), (100, "100.00"), (550, "85.00"), (9999, "70.00")],
)
def test_the_stocks_multiplier_lies_on_straight_lines_between_the_points(stock: int, price: str) -> None:
    assert str(decided(Strategy(stock=SCARCE), stock=stock).published_price) == price


def test_a_single_point_is_a_constant() -> None:
    assert decided(Strategy(stock=stock_rule((10, "1.1"))), stock=3).published_price == 110


def test_a_stock_that_is_not_counted_moves_nothing() -> None:
    got = decided(Strategy(stock=SCARCE))
    assert (got.published_price, [line.code for line in got.rejected]) == (Decimal(100), ["no_signal"])


def test_cost_plus_sets_the_price_by_the_cost_and_leaves_it_where_the_cost_is_unknown() -> None:
    strategy = Strategy(cost_plus=CostPlusRule(markup=Decimal("0.25")))
    assert str(decided(strategy, cost=Decimal("16.50"), base_price=Decimal(30)).published_price) == "20.625"
    got = decided(strategy)
    assert (got.published_price, [line.code for line in got.rejected]) == (Decimal(100), ["no_cost"])


@pytest.mark.parametrize(
    ("facts", "last_step"),
    [
        ({"min_price": Decimal(130), "cost": Decimal(100)}, ("floor", "not below 130.00, the min_price")),
        ({"min_price": Decimal(101), "cost": Decimal(100)}, ("floor", "not below 105.00, cost and margin")),
        ({"max_price": Decimal(90)}, ("ceiling", "not above 90.00, the max_price")),
        ({"max_price": Decimal(200), "stock": 0}, ("ceiling", "not above 110.00, 1.1 × list price")),
    ],
)
def test_the_most_restrictive_bound_is_named(facts: dict[str, Any], last_step: tuple[str, str]) -> None:
    limits = {"max_over_list": Decimal("1.1")}
    got = decided(Strategy(stock=SCARCE), limits=limits, **{"stock": 100, **facts})
    assert (got.steps[-1].rule, got.steps[-1].reason) == last_step


def test_the_floor_wins_over_a_ceiling_below_it() -> None:
    """C4: the cost may rise above max_price."""
    got = decided(Strategy(), cost=Decimal(100), max_price=Decimal(90))
    assert ([step.rule for step in got.steps], got.published_price) == (
        ["list_price", "ceiling", "floor"],
        Decimal(105),
    )


def test_below_cost_allow_leaves_min_price_alone_as_the_floor() -> None:
    got = decided(Strategy(), limits={"below_cost": "allow"}, cost=Decimal(200), min_price=Decimal(20))
    assert (got.published_price, got.floor) == (Decimal(100), Decimal(20))


def test_a_kept_price_is_not_moved_again_by_the_rules_after_competitors() -> None:
    keep = replace(COMPETITOR, when_alone="keep")
    shelf = Shelf(product(), rules(Strategy(competitor=keep, demand=DEMAND)))
    shelf.take(competitor("90"), demand("0.9"))
    assert shelf.price == "81.00"
    for _ in range(3):
        shelf.take(competitor("90", in_stock=False))
        assert (shelf.price, shelf.last.target) == ("81.00", Decimal(81))


def test_a_rule_that_is_gone_leaves_no_trace() -> None:
    """The price follows competitors, and then has another strategy."""
    shelf = Shelf(product(strategy="one"), rules(Strategy(competitor=COMPETITOR), max_step=Decimal("0.2")))
    shelf.take(competitor("60"))
    assert shelf.price == "80.00"
    shelf.write(rules=rules(Strategy(), max_step=Decimal("0.2")))
    assert (shelf.price, shelf.rules) == ("100.00", ["list_price"])
