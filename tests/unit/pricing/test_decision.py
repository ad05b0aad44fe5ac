"""Decisions: what each rule makes of a price, and in which order."""

import itertools
from decimal import Decimal

import msgspec
import pytest

from shared.pricing.decision import Decision, decide, sheet_of
from shared.pricing.market_rules import CompetitorRule, DemandRule, StockPoint, StockRule, Strategy
from shared.pricing.money import floor_to, round_to
from shared.pricing.policy import DEFAULT_POLICY
from tests.support.pricing_examples import (
    NOON,
    competitor,
    decided,
    demand,
    market,
    policy,
    product,
    query,
    state,
)
from tests.support.shop_examples import quoted_in as quote

DEMAND = DemandRule(lowest=Decimal("0.8"), highest=Decimal("1.25"))
SCARCE = StockRule(
    points=(StockPoint(stock=0, multiplier=Decimal("1.3333")), StockPoint(stock=7, multiplier=Decimal(1)))
)


def reasons(decision: Decision) -> list[str]:
    return [line.reason for line in decision.rejected]


def test_without_signals_the_list_price_is_published() -> None:
    got = decided(product(), [], policy(), None)
    assert got.published_price == Decimal("100.00")
    assert reasons(got) == ["no competitor in stock with a price in USD", "no demand index known"]


def test_the_strategy_list_price_looks_at_no_signal() -> None:
    got = decided(product(strategy="list_price"), [competitor("60"), demand("1.2")], policy(), None)
    assert got.published_price == 100
    assert not got.rejected
    assert [step.reason for step in got.steps] == ["list price; strategy list_price"]


C = {"base_price": Decimal("45.00"), "min_price": Decimal("30.00"), "max_price": Decimal("50.00")}


def test_the_lowest_rival_in_range_is_matched() -> None:
    """C1: own 45, allowed range 30 to 50, lowest competitor 35."""
    got = decided(product(**C), [competitor("40", "bolt"), competitor("35", "acme")], policy(), None)
    assert got.published_price == 35


def test_the_price_goes_back_up_when_the_lowest_rival_leaves() -> None:
    """C2: the next competitor is at 40."""
    offers = [competitor("40", "bolt"), competitor("35", "acme", in_stock=False)]
    got = decided(product(**C), offers, policy(), Decimal(35))
    assert got.published_price == 40
    assert "acme is out of stock" in reasons(got)


def test_a_rival_below_the_floor_leaves_the_floor_with_its_reason() -> None:
    """C5."""
    got = decided(product(**C), [competitor("25", "acme")], policy(), None)
    assert got.published_price == got.floor == 30
    assert (got.steps[-1].rule, got.steps[-1].reason) == ("floor", "not below 30.00, the min_price")


def test_a_competitor_at_zero_is_named_and_ignored() -> None:
    got = decided(product(), [competitor("0", "acme"), competitor("90", "globex")], policy(), None)
    assert got.published_price == 90
    assert "acme asks 0, which is nobody's price" in reasons(got)


def test_a_rival_in_another_currency_is_named_and_ignored() -> None:
    got = decided(product(), [competitor("60", "euroshop", currency="EUR"), competitor("90", "acme")], policy(), None)
    assert got.published_price == 90
    assert "euroshop sells in EUR, not in USD" in reasons(got)


def test_a_rival_is_followed_only_within_the_range_of_the_list_price() -> None:
    assert decided(product(), [competitor("35")], policy(), None).published_price == 50
    assert decided(product(), [competitor("290")], policy(), None).published_price == 120


def test_undercutting_takes_its_share_off_the_rival() -> None:
    got = decided(product(category="grocery"), [competitor("90.00")], DEFAULT_POLICY, None)
    assert got.published_price == Decimal("89.10")
    assert got.steps[-1].reason == "lowest competitor acme at 90.00, 1 % less"


def test_demand_multiplies_within_its_bounds() -> None:
    assert decided(product(), [demand("1.1")], policy(), None).published_price == 110
    assert decided(product(), [demand("3")], policy(), None).published_price == 125
    assert decided(product(), [demand("0.1")], policy(), None).published_price == 80


def test_demand_comes_after_the_rival() -> None:
    got = decided(product(), [demand("1.1"), competitor("90")], policy(), None)
    assert [(step.rule, step.after) for step in got.steps[1:]] == [
        ("competitor", Decimal(90)),
        ("demand", Decimal(99)),
    ]


def test_several_demand_indexes_count_alike() -> None:
    got = decided(product(), [demand("1.2", "web"), demand("0.9", "shops")], policy(), None)
    assert got.published_price == 105
    assert got.steps[-1].reason == "demand index 1.05, the mean of 2"


def test_an_unknown_strategy_is_reported_and_the_categorys_is_used() -> None:
    got = decided(product(strategy="magic"), [competitor("90")], policy(), None)
    assert got.published_price == 90
    assert "the policy has no strategy magic; both is used" in reasons(got)


@pytest.mark.parametrize(("rival_at", "expected"), [("60", "80.00"), ("119", "115.00")])
def test_a_step_is_limited_against_the_last_published_price(rival_at: str, expected: str) -> None:
    last = Decimal("100.00") if expected == "80.00" else Decimal("95.83")
    got = decided(product(), [competitor(rival_at)], policy(max_step=Decimal("0.2")), last)
    assert str(got.published_price) == expected


def test_a_step_of_one_minor_unit_is_always_possible() -> None:
    got = decided(product(), [competitor("60")], policy(max_step=Decimal("0.0001")), Decimal("70.00"))
    assert got.published_price == Decimal("69.99")


def test_a_last_price_of_zero_bounds_no_step() -> None:
    got = decided(product(), [], policy(max_step=Decimal("0.2")), Decimal(0))
    assert got.published_price == 100
    assert "the last price was 0: the step has no limit" in reasons(got)


def test_the_floor_wins_over_the_step_and_the_ceiling() -> None:
    costly = product(cost=Decimal("200.00"))
    got = decided(costly, [], policy(max_step=Decimal("0.2")), Decimal("90.00"))
    assert (got.floor, got.ceiling) == (Decimal(210), Decimal(150))
    assert got.published_price == got.floor


def test_bounds_are_whole_minor_units_that_keep_what_they_promise() -> None:
    got = decided(product(base_price=Decimal("9.99"), cost=Decimal("7.77")), [], policy(), None)
    assert (str(got.floor), str(got.ceiling)) == ("8.16", "14.98")  # 8.1585 up, 14.985 down


def test_a_list_price_of_zero_is_a_price() -> None:
    got = decided(product(base_price=Decimal(0)), [competitor("60"), demand("1.1")], DEFAULT_POLICY, None)
    assert (str(got.published_price), str(got.floor), got.ceiling) == ("0.00", "0.00", None)
    capped = decided(product(base_price=Decimal(0), max_price=Decimal(5)), [], policy(), None)
    assert capped.ceiling == 5


def test_a_published_price_keeps_the_digits_that_rounding_needs() -> None:
    undercut = Strategy(
        competitor=CompetitorRule(undercut=Decimal("0.0033"), lowest=Decimal("0.5"), highest=Decimal(2))
    )
    rules = policy(strategies={"undercut": undercut}, default_strategy="undercut")
    got = decided(product(), [competitor("90.01")], rules, None)
    assert got.published_price == Decimal("89.712967")


def test_the_sheet_carries_the_decision_and_the_policys_read_time_rules() -> None:
    kettle = product(base_price=Decimal("1E+2"))
    decision = decided(kettle, [competitor("90")], DEFAULT_POLICY, None)
    got = sheet_of(kettle, decision, version=7, policy_version=4, policy=DEFAULT_POLICY, computed_at=NOON)
    assert (str(got.list_price), got.version, got.policy_version) == ("100.00", 7, 4)
    assert (got.steps, got.rejected) == (decision.steps, decision.rejected)
    assert (got.floor, got.ceiling, got.computed_at) == (decision.floor, None, NOON)
    explained = quote(got, market(), query(), explain=True)
    assert [step.rule for step in explained.steps or ()] == ["list_price", "market"]


def test_rivals_that_write_the_same_price_differently_are_the_same() -> None:
    offers = [competitor("90", "acme"), competitor("90.00", "acme"), competitor("9E+1", "acme")]
    results = {
        msgspec.json.encode(decided(product(), order, policy(), None)) for order in itertools.permutations(offers)
    }
    assert len(results) == 1


def test_the_whole_way_is_rounded_once_at_the_end() -> None:
    """89.712967 × 0.95 is 85.22731865; rounded in between it would be 85.22."""
    got = decided(product(), [competitor("90.0099")], policy(), None)
    item = sheet_of(product(), got, version=1, policy_version=1, policy=policy(), computed_at=NOON)
    answer = quote(item, market("0.95"), query())
    in_between = round_to(floor_to(got.published_price, "USD") * Decimal("0.95"), "USD")
    assert (answer.final_price, in_between) == (Decimal("85.51"), Decimal("85.50"))


def test_a_product_with_decimals_of_its_own_is_decided_and_quoted_in_them() -> None:
    screw = product(base_price=Decimal("0.0123"), cost=Decimal("0.0100"), max_price=Decimal("0.0155"), price_decimals=4)
    got = decide(screw, [], policy(), state(None), NOON)
    assert (str(got.published_price), str(got.floor), str(got.ceiling)) == ("0.0123", "0.0105", "0.0155")
    rules = policy(max_step=Decimal("0.1"), min_margin=Decimal(0))
    got = decide(screw, [competitor("0.01")], rules, state(got.published_price), NOON)
    assert (str(got.published_price), got.waits) == ("0.011", "max_step")  # at least 0.01107, outward
    item = sheet_of(screw, got, version=1, policy_version=1, policy=rules, computed_at=NOON)
    answer = quote(item, market(), query(quantity=Decimal(1000)))
    assert (str(answer.base_price), str(answer.final_price), str(answer.total)) == ("0.0123", "0.0110", "11.00")
