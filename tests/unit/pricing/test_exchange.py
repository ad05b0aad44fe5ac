from datetime import UTC, datetime
from decimal import Decimal

import pytest

from shared.pricing.answer import NoPrice
from shared.pricing.exchange import MarketValues, Rate, Since, check_rates, in_force
from tests.support.pricing_examples import NOON
from tests.support.shop_examples import EPOCH, quoted, rulebook, shop_sheet, values

LATER = datetime(2026, 3, 2, tzinfo=UTC)


def factor(rate: Rate | None) -> Decimal | None:
    return None if rate is None else rate.factor.num / rate.factor.den


def test_a_value_is_in_force_from_its_instant_until_the_next() -> None:
    rows = (Since(NOON, Decimal(2)), Since(LATER, None))
    assert in_force(rows, EPOCH) == (None, NOON)
    assert in_force(rows, NOON) == (Decimal(2), LATER)
    assert in_force(rows, LATER) == (None, None)


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ({"USD/EUR": "0.8"}, "0.8"),
        ({"EUR/USD": "1.25"}, "0.8"),
        ({"EUR/USD": "1.25", "USD/EUR": "0.9"}, "0.9"),
        ({"CHF/USD": "2", "CHF/EUR": "1.6"}, "0.8"),
        ({"USD/SEK": "10", "SEK/EUR": "0.08"}, "0.8"),
        ({"USD/JPY": "150"}, None),
        ({}, None),
    ],
)
def test_a_rate_is_direct_or_inverse_or_through_a_third_currency(rates: dict[str, str], expected: str | None) -> None:
    assert factor(values(rates=rates).rate("USD", "EUR", NOON)) == (None if expected is None else Decimal(expected))


def test_an_inverse_rate_stays_exact() -> None:
    """2.01 / 3 is 0.67 exactly, and 1 / 3 has no end."""
    rate = values(rates={"EUR/USD": "3"}).rate("USD", "EUR", NOON)
    assert rate is not None
    assert (rate.factor.num, rate.factor.den) == (Decimal(1), Decimal(3))
    sheet = shop_sheet(list_price=Decimal("2.01"))
    book = rulebook(convert=True)
    assert quoted(book, sheet, world=values(rates={"EUR/USD": "3"}), currency="EUR").final_price == Decimal("0.67")


def test_a_price_is_converted_only_where_the_policy_allows_it_and_a_rate_is_in_force() -> None:
    world = MarketValues(rates={("USD", "EUR"): (Since(EPOCH, Decimal("0.5")), Since(LATER, None))})
    got = quoted(rulebook(convert=True), shop_sheet(), world=world, currency="EUR")
    assert (got.currency, got.final_price, got.base_price, got.valid_until) == ("EUR", 50, 50, LATER)
    with pytest.raises(NoPrice) as forbidden:
        quoted(rulebook(), shop_sheet(), world=world, currency="EUR")
    with pytest.raises(NoPrice) as missing:
        quoted(rulebook(convert=True), shop_sheet(), world=world, currency="EUR", at=LATER)
    assert (forbidden.value.code, missing.value.code) == ("other_currency", "no_rate")


def test_a_market_has_a_currency_of_its_own() -> None:
    book = rulebook(convert=True, markets={"DEFAULT": {}, "DE": {"currency": "EUR"}})
    world = values(rates={"USD/EUR": "0.5"})
    assert quoted(book, shop_sheet(), world=world, user_location="de").currency == "EUR"
    assert quoted(book, shop_sheet(), world=world, user_location="de", currency="USD").currency == "USD"


def test_directions_that_contradict_each_other_are_refused() -> None:
    check_rates({("USD", "EUR"): Decimal("0.86"), ("EUR", "USD"): Decimal("1.163")})
    with pytest.raises(ValueError, match=r"^`USD/EUR` must be the inverse of EUR/USD"):
        check_rates({("USD", "EUR"): Decimal("0.86"), ("EUR", "USD"): Decimal("0.86")})
