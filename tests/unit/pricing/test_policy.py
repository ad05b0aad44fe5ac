from decimal import Decimal
from typing import Any

import msgspec
import pytest

from shared.pricing.market_rules import CompetitorRule, DemandRule
from shared.pricing.policy import DEFAULT_POLICY, Policy, strategy_of
from tests.support.pricing_examples import policy, product


def test_the_default_policy_takes_five_percent_for_membership_and_rounds_half_up() -> None:
    assert DEFAULT_POLICY.membership_rate == Decimal("0.05")
    assert DEFAULT_POLICY.rounding == "HALF_UP"


def test_the_default_policy_survives_its_own_validation_as_a_document() -> None:
    assert msgspec.json.decode(msgspec.json.encode(DEFAULT_POLICY), type=Policy) == DEFAULT_POLICY


@pytest.mark.parametrize(
    ("category", "strategy"),
    [
        ("electronics", "match"),
        ("grocery", "undercut"),
        ("fashion", "demand"),
        ("home", "dynamic"),
        ("garden", "list_price"),
    ],
)
def test_a_product_without_a_strategy_takes_its_categorys(category: str, strategy: str) -> None:
    assert strategy_of(product(category=category), DEFAULT_POLICY) == (strategy, None)


def test_a_products_own_strategy_comes_before_its_categorys() -> None:
    assert strategy_of(product(category="home", strategy="match"), DEFAULT_POLICY) == ("match", None)


def test_an_unknown_strategy_falls_back_and_says_so() -> None:
    name, rejection = strategy_of(product(category="home", strategy="magic"), DEFAULT_POLICY)
    assert name == "dynamic"
    assert rejection is not None
    assert rejection.reason == "the policy has no strategy magic; dynamic is used"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("membership_rate", Decimal("1.01")),
        ("membership_rate", Decimal("NaN")),
        ("max_step", Decimal("-0.1")),
        ("max_over_list", Decimal(0)),
        ("min_margin", Decimal("0.00001")),
        ("default_strategy", "magic"),
        ("categories", {"home": "magic"}),
    ],
)
def test_a_wrong_policy_is_refused_with_the_fields_name(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^`{field}` must "):
        policy(**{field: value})


@pytest.mark.parametrize("rule", [CompetitorRule, DemandRule])
def test_a_range_that_ends_before_it_starts_is_refused(
    rule: type[CompetitorRule] | type[DemandRule],
) -> None:
    with pytest.raises(ValueError, match=r"^`lowest` must "):
        rule(lowest=Decimal("1.2"), highest=Decimal("1.1"))


def test_an_unknown_field_is_refused() -> None:
    document = msgspec.to_builtins(DEFAULT_POLICY) | {"memberships": "0.1"}
    with pytest.raises(msgspec.ValidationError, match="memberships"):
        msgspec.convert(document, Policy)
