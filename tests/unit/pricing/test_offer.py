"""Offers: what a token says, and what is payable."""

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest
from msgspec.structs import replace

from shared.pricing.answer import Quote
from shared.pricing.offer import Offer, offer
from shared.pricing.query import PriceQuery
from tests.support.pricing_examples import NOON
from tests.support.shop_examples import quoted, rulebook, shop_sheet

AT_S = 1_795_791_234.5678
QUOTE: Quote = quoted(rulebook(), shop_sheet())


@pytest.mark.parametrize(
    "query",
    [
        PriceQuery(product_id="P"),
        PriceQuery(product_id="P", user_location="NY", is_prime_member=True, quantity=12, channel="app"),
        PriceQuery(product_id="P", quantity=0.75, customer_groups=("b2b",), attributes={"x": 1.5, "y": ["a"], "z": 2}),
    ],
)
def test_an_offer_keeps_its_query_through_json(query: PriceQuery) -> None:
    made = offer(QUOTE, query, AT_S, 900)
    read = msgspec.json.decode(msgspec.json.encode(made), type=Offer)
    assert read.query == replace(query, product_id=made.sub)


def test_an_offer_holds_for_as_long_as_was_asked() -> None:
    made = offer(QUOTE, PriceQuery(product_id="P"), AT_S, 900)
    assert (made.iat, made.exp) == (1_795_791_234.568, 1_795_792_134.568)


def test_the_lower_total_is_payable() -> None:
    made = offer(QUOTE, PriceQuery(product_id="P"), AT_S, 900)
    assert made.payable(replace(QUOTE, total=QUOTE.total - 1)) == QUOTE.total - 1
    assert made.payable(replace(QUOTE, total=QUOTE.total + 1)) == QUOTE.total


def test_a_price_in_another_currency_and_a_missing_one_leave_the_guarantee() -> None:
    made = offer(QUOTE, PriceQuery(product_id="P"), AT_S, 900)
    assert made.payable(None) == QUOTE.total
    assert made.payable(replace(QUOTE, currency="JPY", total=Decimal(1))) == QUOTE.total


def test_an_offer_outlives_the_window_that_made_its_price() -> None:
    book = rulebook(promotions=[{"id": "p", "percent": "20", "until": "2026-03-01T13:00:00Z"}])
    during, after = (quoted(book, shop_sheet(), at=NOON + timedelta(hours=hours)) for hours in (0, 2))
    made = offer(during, PriceQuery(product_id="P"), NOON.timestamp(), 10_800)
    assert (int(made.total), after.total, int(made.payable(after))) == (80, 100, 80)
