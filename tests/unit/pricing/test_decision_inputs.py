"""What comes before a decision: rates, open promotions, and writes that decide nothing."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from shared.pricing.compiled import CompiledRulebook
from shared.pricing.converted import converted
from shared.pricing.decision import decide, decides_nothing, kept, sheet_of
from shared.pricing.exchange import MarketValues, Since
from shared.pricing.promotion_pause import promotion_pause
from tests.support.pricing_examples import NOON, competitor, demand, policy, product, state
from tests.support.shop_examples import EPOCH, rulebook, shop_sheet

HOUR = timedelta(hours=1)
RATES = MarketValues(
    rates={
        ("EUR", "USD"): (Since(EPOCH, Decimal("1.1")), Since(NOON + HOUR, Decimal("1.2"))),
        ("USD", "JPY"): (Since(EPOCH, Decimal(150)),),
    }
)


def test_offers_in_other_currencies_are_compared_at_the_rate_in_force() -> None:
    offers = [competitor("85", "acme", "EUR"), competitor("95", "bolt"), competitor("60", "carl", "GBP"), demand("1.1")]
    found, until = converted(offers, "USD", RATES, NOON)
    assert [(one.value, one.currency) for one in found[:3]] == [
        (Decimal("93.5"), "USD"),
        (Decimal(95), "USD"),
        (Decimal(60), "GBP"),
    ]
    assert until == NOON + HOUR
    got = decide(product(strategy="both"), [*found[:3]], policy(), state(None), NOON)
    assert got.published_price == Decimal("93.5")
    assert [line.reason for line in got.rejected] == ["carl sells in GBP, not in USD", "no demand index known"]


def test_a_converted_offer_has_four_decimals_and_its_shipping() -> None:
    offer = replace(competitor("100", "acme", "JPY"), shipping=Decimal(50))
    (got,), until = converted([offer], "USD", RATES, NOON)
    assert (got.value, got.shipping, until) == (Decimal("0.6667"), Decimal("0.3333"), None)


def test_an_offer_whose_amount_vanishes_or_overflows_stays_in_its_currency() -> None:
    offers = [competitor("0.0001", "acme", "JPY"), competitor("0", "bolt", "JPY")]
    assert converted(offers, "USD", RATES, NOON)[0] == offers
    huge = [competitor("999999999999", "acme", "USD")]
    assert converted(huge, "JPY", RATES, NOON)[0] == huge


def promotion(name: str, begin: str | None, end: str | None, **fields: Any) -> dict[str, Any]:
    return {"id": name, "percent": "10", "from": begin, "until": end, **fields}


OPEN = promotion("march", "2026-03-01T00:00:00", "2026-03-02T00:00:00", applies_to={"categories": ["tea"]})


@pytest.mark.parametrize(
    ("promotions", "category", "until"),
    [
        ([OPEN], "tea", datetime.fromisoformat("2026-03-02T00:00:00+00:00")),
        ([OPEN], "coffee", None),
        ([OPEN, promotion("all", None, "2026-03-03T00:00:00")], "tea", datetime.fromisoformat("2026-03-03T00:00:00Z")),
        ([promotion("past", None, "2026-03-01T12:00:00")], "tea", None),
        ([promotion("future", "2026-03-01T12:00:01", None)], "tea", None),
        ([promotion("always", None, None)], "tea", None),
    ],
)
def test_the_open_promotion_that_closes_last_is_a_pause(
    promotions: list[dict[str, Any]], category: str, until: datetime | None
) -> None:
    for order in (promotions, promotions[::-1]):
        rules = CompiledRulebook(rulebook(promotions=order), 1)
        pause = promotion_pause(rules, shop_sheet(category=category), NOON)
        assert (pause and pause.until) == until
        assert pause is None or pause.in_promotion


def test_a_promotion_without_an_end_pauses_until_it_is_taken_away() -> None:
    rules = CompiledRulebook(rulebook(promotions=[OPEN, promotion("open", "2026-02-01T00:00:00", None)]), 1)
    pause = promotion_pause(rules, shop_sheet(category="tea"), NOON)
    assert pause is not None
    assert (pause.reason, pause.until) == ("promotion open is open", None)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [({"name": "Kettle II"}, True), ({"brand": "acme"}, True), ({"stock": 3}, False), ({"category": "tea"}, False)],
)
def test_a_write_of_facts_that_no_decision_reads_decides_nothing(facts: dict[str, Any], expected: bool) -> None:
    assert decides_nothing(product(), replace(product(), **facts)) is expected


def test_a_kept_decision_gives_the_same_sheet_with_the_new_facts() -> None:
    terms = policy()
    got = decide(product(), [competitor("90")], terms, state(None), NOON)
    fields: dict[str, Any] = {"version": 1, "policy_version": 1, "policy": terms, "computed_at": NOON}
    old = sheet_of(product(), got, **fields)
    assert sheet_of(product(), kept(old), **fields) == old
    assert sheet_of(replace(product(), brand="acme"), kept(old), **fields) == replace(old, brand="acme")
