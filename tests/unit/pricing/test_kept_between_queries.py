"""The rules and market values in force are kept between queries: each instant has its own price all the same."""

from datetime import timedelta
from decimal import Decimal
from itertools import permutations

import pytest

from shared.pricing.answer import NoPrice
from shared.pricing.compiled import BoundSheet, Terms
from shared.pricing.exchange import MarketValues, Since
from shared.pricing.query import PriceQuery
from shared.pricing.quote import quote
from tests.support.pricing_examples import NOON
from tests.support.shop_examples import EPOCH, entry, rulebook, shop_sheet, terms_of, values

LATER, LAST = NOON + timedelta(hours=1), NOON + timedelta(hours=2)
BOOK = rulebook(markets={"DEFAULT": {}, "DE": {"currency": "EUR"}}, convert=True)


def price(terms: Terms, bound: BoundSheet, hours: int, location: str = "DE") -> str:
    at = NOON + timedelta(hours=hours)
    return str(quote(terms, bound, PriceQuery(product_id="P-1", user_location=location), at).final_price)


@pytest.mark.parametrize("hours", list(permutations([0, 1, 2])))
def test_a_multiplier_and_a_rate_count_from_their_instant_on_in_any_order_of_queries(hours: tuple[int, ...]) -> None:
    multiplier = (Since(EPOCH, Decimal(1)), Since(LATER, Decimal(2)))
    rate = (Since(EPOCH, Decimal(1)), Since(LAST, Decimal("0.5")))
    terms = Terms(terms_of(BOOK).rules, MarketValues({"DE": multiplier}, {("USD", "EUR"): rate}))
    bound = BoundSheet(terms.rules, shop_sheet(ceiling=Decimal(150)))
    expected = {0: "100.00", 1: "150.00", 2: "75.00"}
    assert {hour: price(terms, bound, hour) for hour in hours} == expected
    assert {hour: price(terms, bound, hour) for hour in hours} == expected


@pytest.mark.parametrize("hours", list(permutations([-1, 0, 1])))
def test_a_window_counts_in_any_order_of_queries(hours: tuple[int, ...]) -> None:
    window = {"from": NOON.isoformat(), "until": LATER.isoformat()}
    lists = [{"id": "l", "kind": "override", "currency": "USD", **window}]
    terms = terms_of(rulebook(lists=lists, promotions=[{"id": "p", "percent": 10, **window}]))
    bound = BoundSheet(terms.rules, shop_sheet([entry("l", "50")]))
    assert {hour: price(terms, bound, hour) for hour in hours} == {-1: "100.00", 0: "45.00", 1: "100.00"}


def test_a_rate_that_is_missing_is_looked_for_again() -> None:
    terms = Terms(terms_of(BOOK).rules, MarketValues({}, {("USD", "EUR"): (Since(LATER, Decimal("0.5")),)}))
    bound = BoundSheet(terms.rules, shop_sheet())
    with pytest.raises(NoPrice):
        price(terms, bound, 0)
    assert price(terms, bound, 1) == "50.00"


def test_many_markets_have_their_own_bounds() -> None:
    codes = [f"M{number}" for number in range(1, 31)]
    markets = {"DEFAULT": {}, **{code: {"currency": "EUR"} for code in codes}}
    rates = values({code: str(number) for number, code in enumerate(codes, 1)}, {"USD/EUR": "2"})
    terms = Terms(terms_of(rulebook(markets=markets, convert=True)).rules, rates)
    bound = BoundSheet(terms.rules, shop_sheet(ceiling=Decimal(1000)))
    expected = {code: f"{min(200 * number, 2000)}.00" for number, code in enumerate(codes, 1)}
    for _ in range(2):
        assert {code: price(terms, bound, 0, code) for code in codes} == expected


def test_products_with_the_same_rules_share_them() -> None:
    """A rulebook of 2,000 promotions for categories takes its memory once, not once a product."""
    promotions = [{"id": "p", "percent": 10, "applies_to": {"categories": ["general"]}}]
    rules = terms_of(rulebook(promotions=promotions)).rules
    one, other = (BoundSheet(rules, shop_sheet(product_id=name)) for name in ("P-1", "P-2"))
    assert one.promotions[0] is other.promotions[0]
