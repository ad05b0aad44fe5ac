"""The competitor rule: which offers count, which price is chosen, and the position beside it."""

import itertools
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from shared.pricing.decision import Decision, decide
from shared.pricing.market_rules import CompetitorRule, Position, Strategy, Within
from shared.pricing.policy import Policy
from shared.pricing.signal import Signal
from shared.pricing.state import PriceState
from tests.support.pricing_examples import NOON, competitor, policy, product, state
from tests.support.repricing import HOUR, SECOND, Shelf


def following(**fields: Any) -> Policy:
    known: dict[str, Any] = {"lowest": Decimal("0.5"), "highest": Decimal("1.2")}
    strategy = Strategy(competitor=CompetitorRule(**{**known, **fields}))
    return policy(strategies={"follow": strategy}, default_strategy="follow", hold_above=None)


def at_noon(rules: Policy, *offers: Signal, last: str | None = None, **facts: Any) -> Decision:
    before: PriceState = state(None if last is None else Decimal(last))
    return decide(product(**facts), offers, rules, before, NOON, by_person=True)


def codes(got: Decision) -> list[str | None]:
    return [line.code for line in got.rejected]


THREE = [competitor("90", "acme"), competitor("95", "bolt"), competitor("97.01", "carl")]


@pytest.mark.parametrize(
    ("fields", "price", "reason"),
    [
        ({}, "90.00", "lowest competitor acme at 90.00"),
        ({"pick": "highest"}, "97.01", "highest competitor carl at 97.01"),
        ({"pick": "average"}, "94.0033", "average of 3 at 94.0033"),
        ({"pick": "median"}, "95.00", "median of 3 at 95.00"),
        ({"pick": "nth", "n": 2}, "95.00", "number 2 of 3: competitor bolt at 95.00"),
        ({"pick": "nth", "n": 9}, "97.01", "number 3 of 3: competitor carl at 97.01"),
        ({"only": ("BOLT", "carl")}, "95.00", "lowest competitor bolt at 95.00"),
        ({"except_": ("Acme",)}, "95.00", "lowest competitor bolt at 95.00"),
        ({"own": ("acme", "bolt")}, "97.01", "lowest competitor carl at 97.01"),
        ({"undercut": Decimal("0.01")}, "89.10", "lowest competitor acme at 90.00, 1 % less"),
        ({"position": Position(percent=Decimal(1))}, "89.10", "lowest competitor acme at 90.00, 1 % less"),
        (
            {"position": Position(percent=Decimal("2.5"), side="above")},
            "92.25",
            "lowest competitor acme at 90.00, 2.5 % more",
        ),
        ({"position": Position(amount=Decimal("0.05"))}, "89.95", "lowest competitor acme at 90.00, 0.05 less"),
        (
            {"position": Position(amount=Decimal(1), side="above")},
            "91.00",
            "lowest competitor acme at 90.00, 1.00 more",
        ),
        ({"position": Position(amount=Decimal(90))}, "50.00", None),
    ],
)
def test_the_rule_chooses_a_price_and_a_position_beside_it(
    fields: dict[str, Any], price: str, reason: str | None
) -> None:
    results = [at_noon(following(**fields), *order) for order in itertools.permutations(THREE)]
    assert {str(got.published_price) for got in results} == {price}
    (line,) = {got.steps[-1].reason for got in results}
    assert line == reason or (reason is None and line.endswith("held to 0.5 – 1.2 × list price"))


def test_the_median_of_four_is_the_exact_middle() -> None:
    got = at_noon(following(pick="median"), *THREE, competitor("95.0001", "dora"))
    assert str(got.published_price) == "95.00005"


def test_competitors_at_the_same_price_are_all_named() -> None:
    offers = [competitor("90", name) for name in ("dora", "acme", "carl", "bolt")] + [competitor("91", "emil")]
    got = at_noon(following(), *offers)
    assert got.steps[-1].reason == "lowest competitor acme, bolt, carl and 1 more at 90.00"


def dated(value: str, source: str, age: timedelta, lasts: timedelta | None = None) -> Signal:
    return replace(competitor(value, source), at=NOON - age, expires_at=None if lasts is None else NOON + lasts)


@pytest.mark.parametrize(
    ("offer", "code", "reason"),
    [
        (competitor("60", in_stock=False), "out_of_stock", "acme is out of stock"),
        (competitor("60", currency="EUR"), "other_currency", "acme sells in EUR, not in USD"),
        (competitor("0"), "outlier", "acme asks 0, which is nobody's price"),
        (competitor("29.99"), "outlier", "acme asks 29.99, an outlier"),
        (competitor("300.01"), "outlier", "acme asks 300.01, an outlier"),
        (competitor("60", "our-shop"), "own_offer", "our-shop is our own offer"),
        (competitor("60", "Hidden"), "excluded", "Hidden is not one of the policy's competitors"),
        (dated("60", "acme", 168 * HOUR), "stale_signal", "acme: price of 2026-02-22 is too old"),
        (dated("60", "acme", 9999 * HOUR), "stale_signal", "acme: price of 2025-01-08 is too old"),
        (
            dated("60", "acme", HOUR, timedelta()),
            "stale_signal",
            "acme: price expired at 2026-03-01T12:00:00+00:00",
        ),
    ],
)
def test_an_offer_that_does_not_count_is_named_with_its_code(offer: Signal, code: str, reason: str) -> None:
    rules = following(own=("Our-Shop",), except_=("hidden",))
    got = at_noon(rules, offer, competitor("90", "bolt"))
    assert [(line.code, line.reason) for line in got.rejected] == [(code, reason)]
    assert got.published_price == 90
    alone = at_noon(rules, offer)
    assert (alone.published_price, codes(alone)) == (Decimal(100), [code, "no_signal"])


@pytest.mark.parametrize(
    "offer",
    [
        dated("60", "acme", 168 * HOUR - SECOND),
        dated("60", "acme", HOUR, SECOND),
        competitor("60"),
        replace(competitor("60"), at=NOON + HOUR),
    ],
)
def test_an_offer_counts_up_to_its_last_second(offer: Signal) -> None:
    assert at_noon(following(), offer).published_price == 60


def test_outliers_and_ages_can_be_switched_off() -> None:
    rules = following(within=None, max_age_h=None)
    assert at_noon(rules, dated("0.01", "acme", 99_999 * HOUR)).published_price == 50


def test_the_edges_of_the_range_of_offers_count() -> None:
    rules = following(within=Within(lowest=Decimal("0.5"), highest=Decimal("1.1")))
    assert at_noon(rules, competitor("50")).published_price == 50
    assert at_noon(rules, competitor("110")).published_price == 110
    assert codes(at_noon(rules, competitor("49.99"))) == ["outlier", "no_signal"]


def test_offers_are_compared_with_their_shipping_where_the_policy_says_so() -> None:
    offers = [replace(competitor("80", "acme"), shipping=Decimal(15)), competitor("90", "bolt")]
    assert at_noon(following(), *offers).published_price == 80
    assert at_noon(following(with_shipping=True), *offers).published_price == 90


@pytest.mark.parametrize(
    ("when_alone", "last", "price"),
    [
        ("list", "83.00", "100.00"),
        ("keep", "83.00", "83.00"),
        ("keep", None, "100.00"),
        ("ceiling", "83.00", "130.00"),
        ("floor", "83.00", "70.00"),
    ],
)
def test_without_competitors_the_policy_says_which_price_counts(when_alone: str, last: str | None, price: str) -> None:
    """C3: never a silent freeze."""
    rules = following(when_alone=when_alone)
    facts = {"min_price": Decimal("70.00"), "max_price": Decimal("130.00")}
    got = at_noon(rules, competitor("95", in_stock=False), last=last, **facts)
    assert str(got.published_price) == price


def test_an_unknown_floor_is_no_price_to_stand_at() -> None:
    assert at_noon(following(when_alone="floor")).published_price == 100


@pytest.mark.parametrize(
    ("direction", "offer", "price"),
    [("up", "90", "100.00"), ("up", "110", "110.00"), ("down", "90", "90.00"), ("down", "110", "100.00")],
)
def test_a_direction_follows_competitors_to_one_side_of_the_list_price(direction: str, offer: str, price: str) -> None:
    assert str(at_noon(following(direction=direction), competitor(offer)).published_price) == price


def test_the_price_recovers_when_the_lowest_competitor_leaves() -> None:
    """C1 and C2: own 45, range 30 to 50, the lowest at 35; then the next one is at 40."""
    facts = {"base_price": Decimal(45), "min_price": Decimal(30), "max_price": Decimal(50)}
    shelf = Shelf(product(**facts), following(own=("us",)))
    shelf.take(competitor("35", "acme"), competitor("40", "bolt"), competitor("45", "us"))
    assert shelf.price == "35.00"
    assert shelf.take(competitor("35", "us"), competitor("35", "acme", in_stock=False)).published_price == 40
    shelf.take(competitor("20", "bolt"))
    assert (shelf.price, shelf.last.steps[-1].rule) == ("30.00", "floor")  # C5
