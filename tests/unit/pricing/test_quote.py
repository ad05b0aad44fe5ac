import itertools
import json
import os
import subprocess
import sys
from decimal import Decimal, localcontext
from fractions import Fraction
from math import floor
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.pricing.market import Market
from shared.pricing.query import PriceQuery
from shared.pricing.quote import NoPrice, quote, tier_of
from shared.pricing.sheet import PriceSheet
from tests.support.pricing_examples import PROPERTY, market, markets, queries, query, sheet, sheets, tiers

T1 = tiers((5, "7"), (10, "6.5"), (None, "6"))
M31 = tiers((9, "10"), (19, "8"), (None, "6"))


@pytest.mark.parametrize(("quantity", "total"), [(1, "7"), (5, "35"), (6, "39"), (20, "120"), (25, "150")])
def test_a_volume_tier_prices_the_whole_quantity(quantity: int, total: str) -> None:
    """T1 of the price facts."""
    got = quote(sheet(list_price=Decimal("7.00"), tiers=T1), market(), query(quantity=quantity))
    assert got.total == Decimal(total)


@pytest.mark.parametrize(("quantity", "unit"), [(9, "10"), (10, "8"), (19, "8"), (20, "6")])
def test_a_tiers_last_quantity_belongs_to_it(quantity: int, unit: str) -> None:
    """M31 of the price facts."""
    got = quote(sheet(list_price=Decimal("10.00"), tiers=M31), market(), query(quantity=quantity))
    assert got.final_price == Decimal(unit)


@pytest.mark.parametrize(
    ("price", "expected"), [("20.00", "17.00"), ("20.25", "17.21"), ("10.50", "8.93"), ("9.94", "8.45")]
)
def test_a_discount_is_rounded_half_up(price: str, expected: str) -> None:
    """S1 of the price facts: 15 % off."""
    priced = sheet(list_price=Decimal(price), membership_rate=Decimal("0.15"))
    assert quote(priced, market(), query(is_prime_member=True)).final_price == Decimal(expected)


def test_a_tie_goes_down_where_the_policy_says_so() -> None:
    priced = sheet(list_price=Decimal("10.50"), membership_rate=Decimal("0.15"), rounding="HALF_DOWN")
    assert quote(priced, market(), query(is_prime_member=True)).final_price == Decimal("8.92")


@pytest.mark.skipif("PRICING_TEST_DATA" not in os.environ, reason="PRICING_TEST_DATA names no folder")
def test_the_volume_tiers_and_discounts_of_the_published_facts_hold() -> None:
    facts = json.loads(Path(os.environ["PRICING_TEST_DATA"], "price-facts.json").read_text())
    for fact in (fact for fact in facts["tiers"] if fact["mode"] == "volume"):
        rows = tiers(*((up_to, price) for up_to, price, _ in fact["tiers"]))
        priced = sheet(list_price=rows[0].unit_price, tiers=rows)
        for quantity, total in fact.get("total_at_quantity", {}).items():
            assert quote(priced, market(), query(quantity=int(quantity))).total == Decimal(total)
        for quantity, unit in fact.get("unit_at_quantity", {}).items():
            assert quote(priced, market(), query(quantity=int(quantity))).final_price == Decimal(unit)
    for fact in (fact for fact in facts["rounding"] if "discount_percent" in fact):
        rate = Decimal(fact["discount_percent"]) / 100
        for price, expected in fact["price_of"].items():
            priced = sheet(list_price=Decimal(price), membership_rate=rate, rounding=fact["rounding"])
            assert quote(priced, market(), query(is_prime_member=True)).final_price == Decimal(expected)


def test_a_member_in_a_market_pays_the_reference_figure() -> None:
    got = quote(sheet(), market("0.95"), query(is_prime_member=True))
    assert (got.final_price, got.discount_rate, got.market) == (Decimal("90.25"), Decimal("0.05"), "NY")


def test_member_price_never_reaches_a_non_member() -> None:
    priced = sheet()
    assert quote(priced, market(), query(is_prime_member=True)).final_price == Decimal("95.00")
    got = quote(priced, market(), query())
    assert (got.final_price, got.discount_rate) == (Decimal(100), Decimal(0))


def test_a_tier_follows_the_published_price_in_proportion() -> None:
    priced = sheet(list_price=Decimal("10.00"), published_price=Decimal("12.00"), tiers=M31)
    assert quote(priced, market(), query(quantity=10)).final_price == Decimal("9.60")


def test_a_tier_of_a_free_product_stands_for_itself() -> None:
    priced = sheet(list_price=Decimal("0.00"), tiers=tiers((9, "0"), (None, "2.00")))
    assert quote(priced, market("0.5"), query(quantity=10)).final_price == Decimal("1.00")
    assert quote(priced, market("0.5"), query(quantity=9)).final_price == 0


@pytest.mark.parametrize(("currency", "unit"), [("JPY", "33"), ("USD", "33.33"), ("KWD", "33.333")])
def test_the_unit_price_has_the_decimals_of_its_currency(currency: str, unit: str) -> None:
    rows = tiers((None, "1"))
    priced = sheet(currency=currency, list_price=Decimal(3), published_price=Decimal(100), tiers=rows)
    assert str(quote(priced, market(), query()).final_price) == unit


def test_the_ceiling_cuts_and_the_floor_wins_over_it() -> None:
    cut = sheet(ceiling=Decimal("80.00"))
    assert quote(cut, market(), query()).final_price == 80
    both = sheet(ceiling=Decimal("80.00"), floor=Decimal("90.00"))
    assert quote(both, market(), query()).final_price == 90


def test_another_currency_has_no_price() -> None:
    with pytest.raises(NoPrice) as caught:
        quote(sheet(), market(), query(currency="EUR"))
    assert (caught.value.product_id, caught.value.currency) == ("P-1", "EUR")
    assert str(caught.value) == "P-1 has no price in EUR"


def test_an_explanation_is_a_chain_from_the_published_to_the_final_price() -> None:
    priced = sheet(tiers=tiers((9, "100"), (None, "80")), floor=Decimal("73.14"))
    got = quote(priced, market("0.95"), query(is_prime_member=True, quantity=10), explain=True)
    assert [(step.rule, str(step.after), step.reason) for step in got.steps or ()] == [
        ("market", "95.00", "market NY × 0.95"),
        ("tier", "76.00", "tier for any larger quantity: 80.00 beside the list price 100.00"),
        ("membership", "72.20", "member: 5 % off"),
        ("floor", "73.14", "not below 73.14"),
    ]


def test_an_explanation_names_what_was_not_taken() -> None:
    got = quote(sheet(), market(), query(), explain=True)
    assert got.rejected is not None
    assert [line.reason for line in got.rejected] == ["not a member: 5 % not taken"]


def test_where_membership_takes_nothing_it_is_not_mentioned() -> None:
    priced = sheet(membership_rate=Decimal(0))
    for member in (False, True):
        got = quote(priced, market(), query(is_prime_member=member), explain=True)
        assert [step.rule for step in got.steps or ()] == ["market"]
        assert got.rejected == ()


def test_rounding_and_ceiling_are_explained() -> None:
    priced = sheet(published_price=Decimal("81.0055"), ceiling=Decimal("85.00"))
    rounded = quote(priced, market(), query(), explain=True)
    assert rounded.steps is not None
    assert (rounded.steps[-1].rule, rounded.steps[-1].reason) == ("rounding", "HALF_UP in USD")
    cut = quote(priced, market("2"), query(), explain=True)
    assert cut.steps is not None
    assert (cut.steps[-1].rule, cut.steps[-1].reason) == ("ceiling", "not above 85.00")


def test_what_was_not_asked_for_is_absent_from_the_answer() -> None:
    answer = json.loads(msgspec.json.encode(quote(sheet(), market(), query())))
    assert answer == {
        "product_id": "P-1",
        "currency": "USD",
        "quantity": 1,
        "base_price": "100.00",
        "final_price": "100.00",
        "total": "100.00",
        "discount_rate": "0",
        "market": "NY",
        "version": 3,
        "computed_at": "2026-03-01T12:00:00Z",
        "valid_until": None,
    }


@PROPERTY
@given(sheets(), markets, queries)
def test_no_market_member_or_quantity_gets_below_the_floor(
    priced: PriceSheet, where: Market, asked: PriceQuery
) -> None:
    got = quote(priced, where, asked)
    assert got.final_price >= priced.floor
    if priced.ceiling is not None:
        assert got.final_price <= max(priced.ceiling, priced.floor)


@PROPERTY
@given(sheets(), markets, queries)
def test_the_unit_price_is_exact_to_the_minor_unit(priced: PriceSheet, where: Market, asked: PriceQuery) -> None:
    got = quote(priced, where, asked)
    assert Fraction(got.final_price) == _by_fractions(priced, where, asked)
    assert got.total == got.final_price * got.quantity


def test_one_part_in_ten_to_the_34_below_a_tie_is_rounded_down() -> None:
    """The product is 84055798298374.25499999999999999999, which 33 digits would make a tie."""
    priced = sheet(
        list_price=Decimal("7.77"),
        published_price=Decimal("90000000426546.221031113429"),
        tiers=tiers((None, "7.77")),
        membership_rate=Decimal("0.0667"),
    )
    got = quote(priced, market("1.0007"), query(is_prime_member=True))
    assert got.final_price == Decimal("84055798298374.25")


def test_a_tie_stays_a_tie_through_a_division_without_end() -> None:
    """0.9 / 7 has no end; 35 % of it is 0.045 exactly."""
    priced = sheet(
        list_price=Decimal("7.00"),
        published_price=Decimal("0.9"),
        tiers=tiers((None, "1.00")),
        membership_rate=Decimal("0.65"),
    )
    assert quote(priced, market(), query(is_prime_member=True)).final_price == Decimal("0.05")


@PROPERTY
@given(sheets(), markets, queries)
def test_an_explanation_changes_no_figure_and_has_no_gap(priced: PriceSheet, where: Market, asked: PriceQuery) -> None:
    got = quote(priced, where, asked, explain=True)
    assert msgspec.structs.replace(got, steps=None, rejected=None) == quote(priced, where, asked)
    assert got.steps
    assert all(one.after == next_.before for one, next_ in itertools.pairwise(got.steps))
    assert round(got.steps[-1].after - got.final_price, 6) == 0


@PROPERTY
@given(sheets(), st.integers(0, 3))
def test_a_tier_ends_with_its_up_to_and_the_next_begins_one_later(priced: PriceSheet, index: int) -> None:
    if index < len(priced.tiers) - 1:
        up_to = priced.tiers[index].up_to
        assert up_to is not None
        assert tier_of(priced.tiers, up_to) == priced.tiers[index]
        assert tier_of(priced.tiers, up_to + 1) == priced.tiers[index + 1]


@PROPERTY
@given(sheets(), markets)
def test_one_cached_sheet_answers_every_query_as_the_fresh_one_does(priced: PriceSheet, where: Market) -> None:
    """No field of the query is part of what the cache holds, so none can leak into another's answer."""
    stored = msgspec.json.encode(priced)
    for location, member, quantity, currency in itertools.product(
        [None, "NY", "LA"], [False, True], [1, 12, 1_000_000], [None, "USD"]
    ):
        asked = query(user_location=location, is_prime_member=member, quantity=quantity, currency=currency)
        cached = msgspec.json.decode(stored, type=PriceSheet)
        fresh = msgspec.json.encode(quote(priced, where, asked, explain=True))
        assert msgspec.json.encode(quote(cached, where, asked, explain=True)) == fresh
    assert msgspec.json.encode(priced) == stored


def test_a_sheet_shares_no_field_with_a_query_but_the_product_and_its_currency() -> None:
    assert set(PriceQuery.__struct_fields__) & set(PriceSheet.__struct_fields__) == {"product_id", "currency"}


@PROPERTY
@given(sheets(), markets, queries)
def test_the_callers_decimal_context_changes_nothing(priced: PriceSheet, where: Market, asked: PriceQuery) -> None:
    expected = msgspec.json.encode(quote(priced, where, asked, explain=True))
    with localcontext(prec=3, rounding="ROUND_UP", capitals=0):
        assert msgspec.json.encode(quote(priced, where, asked, explain=True)) == expected


PROGRAM = """
import sys
from decimal import Decimal
import msgspec
from tests.support.pricing_examples import NOON, demand, market, policy, product, query, rival, tiers
from shared.pricing.quote import quote
from shared.pricing.decision import decide, sheet_of

rules = policy(max_step=Decimal("0.2"))
kettle = product(cost=Decimal("71.13"), tiers=tiers((9, "100"), (None, "87.77")))
market_says = [rival("93.33", source) for source in {"acme", "bolt", "carl"}] + [demand("1.07")]
decision = decide(kettle, market_says, rules, Decimal("90.1234"))
sheet = sheet_of(kettle, decision, version=1, policy_version=1, policy=rules, computed_at=NOON)
answer = quote(sheet, market("1.0333"), query(is_prime_member=True, quantity=10), explain=True)
sys.stdout.buffer.write(msgspec.json.encode([sheet, answer]))
"""


def test_two_processes_with_other_hash_seeds_give_the_same_bytes() -> None:
    here = Path(__file__).parent
    path = os.pathsep.join([str(here), str(here.parents[1])])
    outputs = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(outputs) == 1
    assert b'"final_price"' in outputs.pop()


def _by_fractions(priced: PriceSheet, where: Market, asked: PriceQuery) -> Fraction:
    """The same rules once more, without Decimal."""
    price = Fraction(priced.published_price) * Fraction(where.multiplier)
    for tier in priced.tiers:
        if tier.up_to is None or tier.up_to >= asked.quantity:
            if priced.list_price:
                price *= Fraction(tier.unit_price) / Fraction(priced.list_price)
            else:
                price = Fraction(tier.unit_price) * Fraction(where.multiplier)
            break
    if asked.is_prime_member:
        price *= 1 - Fraction(priced.membership_rate)
    if priced.ceiling is not None:
        price = min(price, Fraction(priced.ceiling))
    units = max(price, Fraction(priced.floor)) * 100
    whole, rest = floor(units), units - floor(units)
    half = Fraction(1, 2)
    up = rest > half or (
        rest == half and (priced.rounding == "HALF_UP" or (priced.rounding == "HALF_EVEN" and whole % 2 == 1))
    )
    return Fraction(whole + up, 100)
