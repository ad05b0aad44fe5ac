from collections.abc import Callable
from decimal import Context, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.pricing import currencies, money
from shared.pricing.currencies import UnknownCurrency
from shared.pricing.money import Rounding
from tests.support.pricing_examples import PROPERTY, amounts


@pytest.mark.parametrize(
    ("currency", "digits"), [("JPY", 0), ("ISK", 0), ("USD", 2), ("EUR", 2), ("KWD", 3), ("CLF", 4)]
)
def test_a_currency_has_its_iso_4217_exponent(currency: str, digits: int) -> None:
    assert currencies.exponent(currency) == digits


@pytest.mark.parametrize("code", ["XXX", "usd", "USDT", "", "XAU", "HRK", "BGN"])
def test_what_is_no_active_currency_is_refused(code: str) -> None:
    with pytest.raises(UnknownCurrency):
        currencies.exponent(code)


@pytest.mark.parametrize(("rounding", "expected"), [("HALF_UP", "8.93"), ("HALF_DOWN", "8.92"), ("HALF_EVEN", "8.92")])
def test_a_tie_goes_where_the_rounding_says(rounding: Rounding, expected: str) -> None:
    assert money.round_to(Decimal("8.925"), "USD", rounding) == Decimal(expected)


def test_rounding_is_half_up_unless_told_otherwise() -> None:
    assert str(money.round_to(Decimal("17.2125"), "USD")) == "17.21"
    assert str(money.round_to(Decimal("0.5"), "JPY")) == "1"
    assert str(money.round_to(Decimal("1.0005"), "KWD")) == "1.001"


def test_bounds_round_away_from_the_inside() -> None:
    assert money.ceil_to(Decimal("10.001"), "USD") == Decimal("10.01")
    assert money.floor_to(Decimal("10.009"), "USD") == Decimal("10.00")
    assert money.ceil_to(Decimal("10.000"), "USD") == money.floor_to(Decimal("10.000"), "USD") == 10


@PROPERTY
@given(amounts(places=8), st.sampled_from(["JPY", "USD", "KWD", "CLF"]))
def test_rounding_never_moves_by_more_than_half_a_minor_unit(amount: Decimal, currency: str) -> None:
    unit = Decimal(1).scaleb(-currencies.exponent(currency))
    assert abs(money.round_to(amount, currency) - amount) * 2 <= unit
    assert money.floor_to(amount, currency) <= amount <= money.ceil_to(amount, currency)


def test_equal_amounts_come_out_with_equal_digits() -> None:
    texts = {str(money.trimmed(Decimal(text), "USD")) for text in ("35", "35.0", "35.00000", "3.5E1")}
    assert texts == {"35.00"}
    assert str(money.trimmed(Decimal("35.12500"), "USD")) == "35.125"


def test_an_explanation_shows_six_decimals_at_most_and_no_exponent() -> None:
    with money.exact():
        assert str(money.shown(Decimal(100) / 3, "USD")) == "33.333333"
    assert str(money.shown(Decimal("0E-12"), "USD")) == "0.00"
    assert money.percent(Decimal("0.05")) == "5 %"
    assert money.percent(Decimal("0.125")) == "12.5 %"
    assert money.plain(Decimal("1E+2")) == "100"


@PROPERTY
@given(st.decimals(allow_nan=False, allow_infinity=False, places=4) | st.decimals(-(10**30), 10**30, places=12))
def test_a_number_in_words_has_no_exponent_and_no_trailing_zeros(number: Decimal) -> None:
    with localcontext(Context(prec=60, capitals=0)):
        assert money.plain(number) == f"{number.normalize():f}"


@pytest.mark.parametrize(("number", "words"), [("1E+3", "1000"), ("0.00000012", "0.00000012"), ("0E-9", "0")])
def test_an_exponent_is_written_out(number: str, words: str) -> None:
    assert money.plain(Decimal(number)) == words


def test_the_callers_decimal_context_changes_nothing() -> None:
    amount = Decimal("123456789.12345678")
    expected = (money.round_to(amount, "USD"), money.trimmed(amount, "USD"), money.shown(amount, "USD"))
    with localcontext(prec=3):
        got = (money.round_to(amount, "USD"), money.trimmed(amount, "USD"), money.shown(amount, "USD"))
        money.amount("price", Decimal("123456789.1234"))
    assert got == expected


def in_dollars(field: str, value: Decimal) -> None:
    money.amount_in_currency(field, value, "USD")


Check = Callable[[str, Decimal], None]
CHECKS: list[Check] = [money.amount, in_dollars, money.multiplier, money.share]


def accepts(check: Check, text: str) -> bool:
    try:
        check("price", Decimal(text))
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "sNaN",
        "Infinity",
        "-Infinity",
        "1e999999",
        "1e-999999",
        "-1",
        "-0",
        "1e12",
        "0.00001",
        "0.50001",
    ],
)
def test_a_wrong_number_is_refused_with_its_fields_name(check: Check, text: str) -> None:
    with pytest.raises(ValueError, match=r"^`price` must "):
        check("price", Decimal(text))


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (money.amount, "0"),
        (money.amount, "0E+999999"),
        (money.amount, "999999999999.9999"),
        (in_dollars, "999999999999.99"),
        (in_dollars, "10.0000"),
        (in_dollars, "1E+2"),
        (money.multiplier, "0.01"),
        (money.multiplier, "100.0000"),
        (money.share, "0"),
        (money.share, "1"),
    ],
)
def test_the_ends_of_a_range_belong_to_it(check: Check, text: str) -> None:
    assert accepts(check, text)


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (money.amount, "1000000000000"),
        (in_dollars, "10.001"),
        (money.multiplier, "0.0099"),
        (money.multiplier, "100.0001"),
        (money.share, "1.0001"),
    ],
)
def test_one_beyond_the_end_is_refused(check: Check, text: str) -> None:
    with pytest.raises(ValueError, match=r"^`price` must "):
        check("price", Decimal(text))


@pytest.mark.parametrize(("currency", "text"), [("JPY", "1.5"), ("KWD", "1.0001"), ("CLF", "1.00001")])
def test_an_amount_has_no_more_decimals_than_its_currency(currency: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"^`price` must have at most"):
        money.amount_in_currency("price", Decimal(text), currency)
