import itertools
import os
import subprocess
import sys
from decimal import localcontext
from fractions import Fraction
from math import floor
from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from shared.pricing.market import Market
from shared.pricing.price_lists import tier_of
from shared.pricing.query import PriceQuery, exact
from shared.pricing.sheet import PriceSheet
from tests.support.pricing_examples import PROPERTY, markets, queries, query, sheets
from tests.support.shop_examples import quoted_in as quote


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
    assert got.total == got.final_price * exact(got.quantity)


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
from tests.support.pricing_examples import NOON, demand, market, policy, product, query, competitor, state, tiers
from tests.support.shop_examples import quoted_in as quote
from shared.pricing.decision import decide, sheet_of

rules = policy(max_step=Decimal("0.2"))
kettle = product(cost=Decimal("71.13"), tiers=tiers((9, "100"), (None, "87.77")))
market_says = [competitor("93.33", source) for source in {"acme", "bolt", "carl"}] + [demand("1.07")]
decision = decide(kettle, market_says, rules, state(Decimal("90.1234")), NOON)
sheet = sheet_of(kettle, decision, version=1, policy_version=1, policy=rules, computed_at=NOON)
answer = quote(sheet, market("1.0333"), query(is_prime_member=True, quantity=10), explain=True)
sys.stdout.buffer.write(msgspec.json.encode([sheet, answer]))
"""


def test_two_processes_with_other_hash_seeds_give_the_same_bytes() -> None:
    root = Path(__file__).resolve().parents[3]
    outputs = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONPATH": str(root), "PYTHONHASHSEED": seed},
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
