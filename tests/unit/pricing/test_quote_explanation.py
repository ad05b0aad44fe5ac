import itertools
from decimal import Decimal

import msgspec
from hypothesis import given

from shared.pricing.market import Market
from shared.pricing.query import PriceQuery
from shared.pricing.sheet import PriceSheet
from tests.support.pricing_examples import PROPERTY, market, markets, queries, query, sheet, sheets, tiers
from tests.support.shop_examples import quoted_in as quote


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


@PROPERTY
@given(sheets(), markets, queries)
def test_an_explanation_changes_no_figure_and_has_no_gap(priced: PriceSheet, where: Market, asked: PriceQuery) -> None:
    got = quote(priced, where, asked, explain=True)
    assert msgspec.structs.replace(got, steps=None, rejected=None) == quote(priced, where, asked)
    assert got.steps
    assert all(one.after == next_.before for one, next_ in itertools.pairwise(got.steps))
    assert round(got.steps[-1].after - got.final_price, 6) == 0
