"""The explanation that callers without `catalogue:read` get: no cost, floor, margin or competitor in it."""

from decimal import Decimal

import msgspec
from hypothesis import given

from shared.pricing.answer import public
from shared.pricing.explanation import Rejection, Step
from shared.pricing.market import Market
from shared.pricing.query import PriceQuery
from shared.pricing.sheet import PriceSheet
from tests.support.pricing_examples import PROPERTY, market, markets, queries, query, sheet, sheets, tiers
from tests.support.shop_examples import quoted_in as quote

DECIDED = Step(rule="competitor", before=Decimal(100), after=Decimal(81), reason="acme asks 82: 1 below")
REJECTED = Rejection(rule="demand", reason="the index of web is older than a day")


def test_the_background_decision_is_counted_and_not_shown() -> None:
    decided = sheet(published_price=Decimal(81), steps=(DECIDED,), rejected=(REJECTED,))
    got, hidden = public(quote(decided, market(), query(), explain=True), decided)
    assert [step.rule for step in got.steps or ()] == ["market"]
    assert [line.rule for line in got.rejected or ()] == ["membership"]
    assert hidden == 2


def test_the_floor_is_not_shown_nor_the_rounding_that_starts_from_it() -> None:
    priced = sheet(tiers=tiers((9, "100"), (None, "80")), floor=Decimal("93.145"))
    asked = query(is_prime_member=True, quantity=10)
    full = quote(priced, market(), asked, explain=True)
    assert [step.rule for step in full.steps or ()] == ["market", "tier", "membership", "floor", "rounding"]
    got, hidden = public(full, priced)
    assert [step.rule for step in got.steps or ()] == ["market", "tier", "membership"]
    assert hidden == 2
    assert b"93.145" not in msgspec.json.encode(got)


def test_ceiling_and_rounding_are_shown() -> None:
    priced = sheet(published_price=Decimal("99.005"), ceiling=Decimal("85.125"))
    got, hidden = public(quote(priced, market(), query(), explain=True), priced)
    assert [step.rule for step in got.steps or ()] == ["market", "ceiling", "rounding"]
    assert hidden == 0


@PROPERTY
@given(sheets(), markets, queries)
def test_it_changes_no_figure_and_names_no_floor(priced: PriceSheet, where: Market, asked: PriceQuery) -> None:
    full = quote(priced, where, asked, explain=True)
    got, hidden = public(full, priced)
    assert msgspec.structs.replace(got, steps=None, rejected=None) == quote(priced, where, asked)
    assert len(got.steps or ()) + hidden == len(full.steps or ())
    assert "floor" not in {step.rule for step in got.steps or ()}
