import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from shared.pricing.answer import Quote, UnknownMarket, WrongQuantity, public
from shared.pricing.compiled import CompiledRulebook
from shared.pricing.currencies import EXPONENTS
from shared.pricing.explanation import Rejection, Step
from shared.pricing.product import Content
from shared.pricing.ratio import Ratio, rounded
from shared.pricing.rulebook import PriceList, Rulebook
from shared.pricing.sheet import PriceSheet
from tests.support.shop_examples import entry, quoted, rulebook, shop_sheet, values

MARKETS: dict[str, Any] = {"DEFAULT": {}, "NY": {}, "CH": {"currency": "CHF", "cash_step": "0.05"}}


@pytest.mark.parametrize(
    ("location", "market", "known"),
    [(None, "DEFAULT", None), ("NY", "NY", None), (" ny ", "NY", None), ("tyo", "TYO", None), ("XX", "DEFAULT", False)],
)
def test_a_market_is_found_without_case_and_blanks(location: str | None, market: str, known: bool | None) -> None:
    """NY is in the rulebook, TYO has a multiplier only."""
    got = quoted(rulebook(markets=MARKETS), shop_sheet(), world=values({"TYO": "1.04"}), user_location=location)
    assert (got.market, got.market_known) == (market, known)


def test_an_unknown_market_is_refused_where_the_policy_says_so() -> None:
    with pytest.raises(UnknownMarket, match="there is no market 'XX'"):
        quoted(rulebook(markets=MARKETS, unknown_market="refuse"), shop_sheet(), user_location="XX")
    assert quoted(rulebook(markets=MARKETS, unknown_market="refuse"), shop_sheet()).market == "DEFAULT"


def test_the_multiplier_of_a_market_is_found_without_case() -> None:
    got = quoted(rulebook(markets=MARKETS), shop_sheet(), world=values({"ny": "1.1"}), user_location="NY")
    assert (got.market, got.final_price) == ("NY", 110)


@pytest.mark.parametrize(
    ("amount", "unit", "per", "expected"),
    [
        ("750", "ml", "l", "13.32"),
        ("75", "cl", "l", "13.32"),
        ("250", "g", "kg", "39.96"),
        ("3", "kg", "kg", "3.33"),
        ("1.5", "m2", "m2", "6.66"),
        ("12", "piece", "piece", "0.83"),
        ("80", "cm", "m", "12.49"),
    ],
)
def test_the_unit_price_is_by_the_exact_content_and_rounded_once(
    amount: str, unit: Any, per: str, expected: str
) -> None:
    book = rulebook(markets={"DEFAULT": {"unit_price_per": ["kg", "l", "m", "m2", "piece"]}})
    content = Content(amount=Decimal(amount), unit=unit)
    got = quoted(book, shop_sheet(list_price=Decimal("9.99"), content=content)).unit_price
    assert got is not None
    assert (got.per, str(got.amount)) == (per, expected)


def test_the_unit_price_follows_promotions_and_markets_show_the_measures_that_they_name() -> None:
    content = Content(amount=Decimal(500), unit="g")
    got = quoted(rulebook(promotions=[{"id": "a", "percent": 50}]), shop_sheet(content=content)).unit_price
    assert got is not None
    assert got.amount == 100
    by_piece = Content(amount=Decimal(6), unit="piece")
    assert quoted(rulebook(), shop_sheet(content=by_piece)).unit_price is None


@pytest.mark.parametrize(("price", "cash"), [("1.02", "1.00"), ("1.03", "1.05"), ("1.07", "1.05"), ("0.01", "0.00")])
def test_the_cash_total_is_the_nearest_multiple_of_the_smallest_coin(price: str, cash: str) -> None:
    book = rulebook(markets=MARKETS)
    got = quoted(book, shop_sheet(currency="CHF", list_price=Decimal(price)), user_location="CH")
    assert (str(got.total), str(got.cash_total)) == (price, cash)


def test_another_currency_than_the_markets_has_no_cash_total() -> None:
    got = quoted(rulebook(markets=MARKETS), shop_sheet(), user_location="CH", currency="USD")
    assert got.cash_total is None


def test_the_advertised_price_is_shown_where_it_is_above_the_selling_price() -> None:
    assert quoted(rulebook(), shop_sheet(map_price=Decimal(120))).advertised_price == 120
    assert quoted(rulebook(), shop_sheet(map_price=Decimal(100))).advertised_price is None


def test_fields_that_do_not_apply_are_left_out_of_the_answer() -> None:
    answer = json.loads(msgspec.json.encode(quoted(rulebook(), shop_sheet())))
    assert answer == {
        "product_id": "P-1",
        "currency": "USD",
        "quantity": 1,
        "base_price": "100.00",
        "reference_price": "100.00",
        "final_price": "100.00",
        "total": "100.00",
        "discount_rate": "0",
        "market": "DEFAULT",
        "version": 3,
        "rulebook_version": 1,
        "computed_at": "2026-03-01T12:00:00Z",
        "valid_until": None,
    }


def decided(**fields: Any) -> PriceSheet:
    """A sheet with a background decision of one step and one rejection."""
    step = Step(rule="list_price", before=Decimal(120), after=Decimal(120), reason="list price; strategy list_price")
    passed = Rejection(rule="competitor", reason="acme is out of stock")
    entries = [entry("o", "110"), entry("s", "100")]
    known: dict[str, Any] = {"published_price": Decimal(120), "membership_rate": Decimal("0.1")}
    return shop_sheet(entries, steps=(step,), rejected=(passed,), **known, **fields)


def explained(sheet: PriceSheet, **policy: Any) -> Quote:
    """A member's quote with an override, a sale, a promotion and tax."""
    lists = [
        {"id": "o", "kind": "override", "currency": "USD"},
        {"id": "s", "kind": "sale", "currency": "USD", "ending": True},
    ]
    markets = {"DEFAULT": {"tax_rates": {"standard": "0.25"}, "show": "net"}}
    book = rulebook(lists=lists, promotions=[{"id": "p", "percent": "12.5"}], markets=markets, **policy)
    got: Quote = quoted(book, sheet, is_prime_member=True, explain=True)
    return got


def test_an_explanation_names_every_rule_in_order() -> None:
    got = explained(decided(floor=Decimal("90.00")), ending={"multiple_of": "1", "plus": "-0.01"})
    assert [(step.rule, str(step.after)) for step in got.steps or ()] == [
        ("list_price", "120"),
        ("market", "120.00"),
        ("price_list", "110.00"),
        ("sale", "100.00"),
        ("promotion", "87.50"),
        ("membership", "78.75"),
        ("tax", "63.00"),
        ("ending", "72.99"),
    ]


def test_the_public_explanation_shows_neither_decision_nor_floor_and_counts_them() -> None:
    sheet = decided(floor=Decimal("90.00"))
    full = explained(sheet)
    assert [step.rule for step in full.steps or ()][-1] == "floor"
    got, hidden = public(full, sheet)
    assert [step.rule for step in got.steps or ()] == ["market", "price_list", "sale", "promotion", "membership", "tax"]
    assert (hidden, got.rejected) == (3, ())
    text = msgspec.json.encode(got)
    assert b"acme" not in text
    assert b"floor" not in text


def test_a_rulebook_that_was_not_checked_is_not_compiled() -> None:
    unchecked = Rulebook(price_lists=(PriceList(id="a", kind="sale", from_="2026-01-01"),))
    with pytest.raises(ValueError, match="a window without instants"):
        CompiledRulebook(unchecked, 1)


def test_an_amount_keeps_its_digits() -> None:
    """M12: amounts have at most 12 digits before and 6 after the point; more is refused, never cut."""
    with pytest.raises(msgspec.ValidationError, match=r"^`amount` must be a number from 0 to 999999999999.9999"):
        entry("l", "12345678988754.00000010000000085")
    header = {"id": "l", "kind": "override", "currency": "USD", "price_decimals": 6}
    got = quoted(rulebook(lists=[header]), shop_sheet([entry("l", "345678988754.000001")]))
    assert str(got.final_price) == "345678988754.000001"


def test_digits_beyond_the_exponent_are_iso_4217s() -> None:
    """R15."""
    digits = {"JPY": 0, "KRW": 0, "CLP": 0, "VND": 0, "CLF": 4, "UYW": 4, "USD": 2}
    digits |= dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3)
    assert {code: EXPONENTS[code] for code in digits} == digits
    for code, places in digits.items():
        header = {"id": "l", "kind": "override", "currency": code}
        got = quoted(rulebook(lists=[header]), shop_sheet([entry("l", "1.23456")]), currency=code)
        assert got.final_price == rounded(Ratio(Decimal("1.23456")), places, "HALF_UP")
        assert -int(got.final_price.as_tuple().exponent) == places


@pytest.mark.parametrize(
    ("quantity", "step", "is_sold"),
    [(3, None, True), (1.0, None, True), (1.5, None, False), (1.5, "0.5", True), (1, "0.5", True), (1.25, "0.5", False),
     (0.001, "0.001", True), (3, "2", False)],
)  # fmt: skip
def test_a_product_is_sold_in_multiples_of_its_step(quantity: float, step: str | None, is_sold: bool) -> None:
    priced = shop_sheet(quantity_step=None if step is None else Decimal(step))
    if is_sold:
        got = quoted(rulebook(), priced, quantity=quantity)
        assert (got.quantity, got.total) == (quantity, 100 * Decimal(str(quantity)))
    else:
        with pytest.raises(WrongQuantity, match="whole units" if step is None else f"multiples of {step}"):
            quoted(rulebook(), priced, quantity=quantity)
