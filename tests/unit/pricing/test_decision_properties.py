"""Properties of decisions, for products, signals and policies of all kinds."""

import random
from decimal import Context, Decimal, localcontext

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from shared.pricing.change_limits import ChangeLimits
from shared.pricing.decision import decide
from shared.pricing.market_rules import CompetitorRule, DemandRule, Position, StockPoint, StockRule, Strategy, Within
from shared.pricing.policy import Policy
from shared.pricing.product import ProductInput
from shared.pricing.signal import Signal
from tests.support.pricing_examples import (
    NOON,
    PROPERTY,
    amounts,
    decided,
    multipliers,
    policy,
    product,
    shares,
    signals,
    state,
)

DEMAND = DemandRule(lowest=Decimal("0.8"), highest=Decimal("1.25"))
SCARCE = StockRule(
    points=(StockPoint(stock=0, multiplier=Decimal("1.3333")), StockPoint(stock=7, multiplier=Decimal(1)))
)
products = st.builds(
    product,
    base_price=amounts(),
    stock=st.none() | st.integers(0, 9),
    cost=st.none() | amounts(),
    min_price=st.none() | amounts(largest=500),
    max_price=st.none() | st.decimals(500, 999_999, places=2),
)
competitor_rules = st.builds(
    CompetitorRule,
    pick=st.sampled_from(["lowest", "highest", "average", "median"]),
    own=st.sampled_from([(), ("a",)]),
    max_age_h=st.sampled_from([None, 1]),
    within=st.sampled_from([None, Within()]),
    with_shipping=st.booleans(),
    position=st.none()
    | st.builds(Position, percent=st.decimals(0, 100, places=4), side=st.sampled_from(["below", "above"])),
    when_alone=st.sampled_from(["keep", "list", "ceiling", "floor"]),
    direction=st.sampled_from(["both", "up", "down"]),
    lowest=st.just(Decimal("0.5")),
    highest=st.just(Decimal(2)),
)
every_rule = st.builds(lambda rule: {"both": Strategy(competitor=rule, demand=DEMAND, stock=SCARCE)}, competitor_rules)
strict_policies = st.builds(
    policy,
    strategies=every_rule,
    below_cost=st.sampled_from(["clamp", "hold", "allow"]),
    hold_above=st.none() | shares,
    change_limits=st.builds(ChangeLimits, max_step_up=st.none() | shares, max_day_down=st.none() | shares),
    min_margin=shares,
)
previous_prices = st.none() | amounts(places=6)
policies = st.builds(policy, max_step=st.none() | shares, max_over_list=multipliers, min_margin=shares)


@PROPERTY
@given(products, signals, policies | strict_policies, previous_prices, st.randoms(use_true_random=False))
def test_the_order_of_signals_does_not_matter(
    item: ProductInput, heard: list[Signal], rules: Policy, last: Decimal | None, dice: random.Random
) -> None:
    expected = msgspec.json.encode(decided(item, heard, rules, last))
    shuffled = [*heard]
    dice.shuffle(shuffled)
    assert msgspec.json.encode(decided(item, shuffled, rules, last)) == expected


@PROPERTY
@given(products, signals, policies | strict_policies, previous_prices, st.booleans())
def test_the_published_price_keeps_its_bounds(
    item: ProductInput, heard: list[Signal], rules: Policy, last: Decimal | None, person: bool
) -> None:
    got = decide(item, heard, rules, state(last), NOON, by_person=person)
    assert got.published_price >= got.floor >= (item.min_price or 0)
    assert got.floor >= (item.cost or 0) or rules.below_cost == "allow"
    if got.ceiling is not None:
        assert got.published_price <= max(got.floor, got.ceiling)


@PROPERTY
@given(products, signals, policies | strict_policies, amounts(places=2), st.integers(1, 10))
def test_digits_stay_bounded_however_often_a_price_is_decided(
    item: ProductInput, heard: list[Signal], rules: Policy, last: Decimal, times: int
) -> None:
    for _ in range(times):
        last = decided(item, heard, rules, last).published_price
        assert last == last.quantize(Decimal("1E-18"), context=Context(prec=60))


@PROPERTY
@given(products, signals, shares, amounts(places=6))
def test_a_step_is_never_larger_than_the_limit_and_one_minor_unit(
    item: ProductInput, heard: list[Signal], share: Decimal, last: Decimal
) -> None:
    got = decided(item, heard, policy(max_step=share), last)
    bounds = (got.floor, got.ceiling)
    if last and got.published_price not in bounds:
        assert abs(got.published_price - last) <= last * share + Decimal("0.01")


@PROPERTY
@given(products, signals, policies, previous_prices)
def test_the_callers_decimal_context_changes_nothing(
    item: ProductInput, heard: list[Signal], rules: Policy, last: Decimal | None
) -> None:
    expected = msgspec.json.encode(decided(item, heard, rules, last))
    with localcontext(prec=3):
        assert msgspec.json.encode(decided(item, heard, rules, last)) == expected
