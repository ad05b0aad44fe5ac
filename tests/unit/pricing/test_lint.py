"""Rules that can never apply are found, and rules that can are left alone."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from shared.pricing.conditions import Condition
from shared.pricing.lint import Finding, findings
from shared.pricing.rulebook import AppliesTo, Promotion, Rulebook
from shared.pricing.rulebook_check import checked

NOW = datetime(2026, 7, 1, tzinfo=UTC)


def promotion(name: str = "spring", **fields: Any) -> Promotion:
    return Promotion(id=name, **{"percent": Decimal(10), **fields})


def found(*promotions: Promotion) -> list[Finding]:
    return list(findings(checked(Rulebook(promotions=promotions)), ["DEFAULT", "NY"], NOW))


def codes(*promotions: Promotion) -> list[tuple[str, str]]:
    return [(finding.code, finding.part) for finding in found(*promotions)]


@pytest.mark.parametrize(
    "conditions",
    [
        [Condition(attribute="quantity", gte=Decimal(10)), Condition(attribute="quantity", lt=Decimal(10))],
        [Condition(attribute="quantity", eq=3, gt=Decimal(5))],
        [Condition(attribute="channel", eq="app"), Condition(attribute="channel", eq="web")],
        [Condition(attribute="channel", eq="app", not_in=("app",))],
        [Condition(attribute="user_location", eq="ny"), Condition(attribute="user_location", not_in=("NY",))],
        [Condition(attribute="is_prime_member", eq=True), Condition(attribute="is_prime_member", eq=False)],
    ],
)
def test_conditions_that_exclude_one_another_are_found(conditions: list[Condition]) -> None:
    assert codes(promotion(conditions=tuple(conditions))) == [("contradiction", "promotion spring")]


@pytest.mark.parametrize(
    "conditions",
    [
        [],
        [Condition(attribute="quantity", gte=Decimal(10), lte=Decimal(10))],
        [Condition(attribute="quantity", eq=7, gt=Decimal(5))],
        [Condition(attribute="channel", in_=("app", "web")), Condition(attribute="channel", not_in=("app",))],
        [Condition(attribute="customer_groups", eq="a"), Condition(attribute="customer_groups", eq="b")],
        [Condition(attribute="user_location", in_=("ny", "default"))],
    ],
)
def test_conditions_that_a_query_fits_are_left_alone(conditions: list[Condition]) -> None:
    assert codes(promotion(conditions=tuple(conditions))) == []


def test_a_market_that_does_not_exist_is_found() -> None:
    [finding] = found(promotion(conditions=(Condition(attribute="user_location", in_=("NY", "XX")),)))
    assert (finding.code, finding.reason) == ("unknown_market", "no such market: XX")


def test_a_window_that_has_ended_is_found() -> None:
    ended, begun = promotion(until="2026-06-30T00:00:00Z"), promotion("other", until="2026-07-02T00:00:00Z")
    assert codes(ended, begun) == [("expired", "promotion spring")]


def test_a_promotion_behind_an_exclusive_one_is_found() -> None:
    toys = AppliesTo(categories=("toys",))
    strong = promotion("strong", exclusive=True, priority=5, applies_to=AppliesTo(categories=("toys", "home")))
    assert codes(promotion(applies_to=toys), strong) == [("shadowed", "promotion spring")]


@pytest.mark.parametrize(
    "strong",
    [
        {"exclusive": True, "priority": 0},
        {"exclusive": False, "priority": 5},
        {"exclusive": True, "priority": 5, "applies_to": AppliesTo(categories=("home",))},
        {"exclusive": True, "priority": 5, "until": "2026-12-01T00:00:00Z"},
        {"exclusive": True, "priority": 5, "conditions": (Condition(attribute="channel", eq="app"),)},
    ],
)
def test_one_that_can_still_apply_is_left_alone(strong: dict[str, Any]) -> None:
    assert codes(promotion(applies_to=AppliesTo(categories=("toys",))), promotion("strong", **strong)) == []
