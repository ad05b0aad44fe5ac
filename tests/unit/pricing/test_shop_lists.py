import itertools
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from shared.pricing.answer import NoPrice, Quote
from shared.pricing.entries import PriceEntry
from shared.pricing.sheet import PriceSheet
from tests.support.shop_examples import entry, quoted, rulebook, shop_sheet, values

Lists = Sequence[dict[str, Any]]


def a_list(name: str, kind: str = "override", **fields: Any) -> dict[str, Any]:
    return {"id": name, "kind": kind, "currency": "USD", **fields}


def group(name: str) -> dict[str, Any]:
    return {"attribute": "customer_groups", "in": [name]}


def codes(got: Quote) -> set[tuple[str, str | None]]:
    return {(line.reason.split(":")[0].split(" ")[1], line.code) for line in got.rejected or ()}


CHANNEL = {"attribute": "channel", "eq": "web"}
FITTING: dict[str, Any] = {"channel": "web", "customer_groups": ("b2b", "vip")}


@pytest.mark.parametrize(
    ("lists", "chosen"),
    [
        ([a_list("a", priority=1), a_list("b", priority=2, conditions=[CHANNEL])], "b"),
        ([a_list("a", conditions=[CHANNEL, group("vip")]), a_list("b", conditions=[CHANNEL])], "a"),
        ([a_list("a", conditions=[group("vip"), group("b2b")]), a_list("b", conditions=[CHANNEL, group("vip")])], "b"),
        ([a_list("a"), a_list("b")], "b"),
        ([a_list("a"), a_list("c")], "a"),
    ],
)
def test_the_choice_is_by_priority_then_attributes_then_lowest_line_then_id(lists: Lists, chosen: str) -> None:
    """List b is cheaper than a, c costs the same as a."""
    entries = [entry("a", "90"), entry("b", "80"), entry("c", "90")]
    for order, stored in itertools.product(itertools.permutations(lists), itertools.permutations(entries)):
        got = quoted(rulebook(lists=order), shop_sheet(stored), **FITTING)
        assert got.price_list == chosen


def test_the_lines_of_the_quantity_are_compared_and_not_unit_prices() -> None:
    fee = entry("a", tiers=[{"unit_price": 5, "flat_fee": 100}])
    book = rulebook(lists=[a_list("a"), a_list("b")])
    assert quoted(book, shop_sheet([fee, entry("b", "10")]), quantity=19).price_list == "b"
    assert quoted(book, shop_sheet([fee, entry("b", "10")]), quantity=21).price_list == "a"


def test_a_sale_counts_below_the_reference_only_and_the_reference_is_shown() -> None:
    book = rulebook(lists=[a_list("o"), a_list("s", "sale")])
    below = quoted(book, shop_sheet([entry("o", "90"), entry("s", "80")]), explain=True)
    assert (below.price_list, below.final_price, below.reference_price) == ("s", 80, 90)
    above = quoted(book, shop_sheet([entry("o", "90"), entry("s", "90")]), explain=True)
    assert (above.price_list, above.final_price, above.reference_price) == ("o", 90, 90)
    assert codes(above) == {("s", "no_effect")}


def test_a_lists_amount_is_final_and_the_market_moves_published_prices_only() -> None:
    book = rulebook(lists=[a_list("o", conditions=[CHANNEL])])
    world = values({"DEFAULT": "2"})
    assert quoted(book, shop_sheet([entry("o", "90")]), world=world, channel="web").final_price == 90
    assert quoted(book, shop_sheet([entry("o", "90")]), world=world).final_price == 200


@pytest.mark.parametrize(
    ("formula", "price"),
    [
        ({"percent": 10}, "216"),
        ({"of": "list_price", "percent": 10}, "90"),
        ({"of": "cost", "percent": -50}, "60"),
        ({"of": "list_price", "amount": 30}, "70"),
        ({"of": "list_price", "amount": -30}, "130"),
        ({"of": "list_price", "amount": 300}, "0"),
        ({"of": "list_price", "percent": 70, "min_margin": "0.1"}, "44"),
        ({"of": "list_price", "max_margin": "0.5"}, "60"),
        ({"of": "list_price", "percent": 100, "plus": 5}, "0"),
        ({"of": {"list": "other"}, "plus": "-0.01"}, "54.99"),
    ],
)
def test_an_adjustment_follows_its_formula(formula: dict[str, Any], price: str) -> None:
    """List price 100, published 120, market × 2, cost 40, the other list 55."""
    lists = [a_list("a", adjustment=formula), a_list("other", conditions=[group("nobody")])]
    priced = shop_sheet([entry("other", "55")], published_price=Decimal(120), cost=Decimal(40))
    got = quoted(rulebook(lists=lists), priced, world=values({"DEFAULT": "2"}))
    assert (got.price_list, got.final_price) == ("a", Decimal(price))


def test_an_entry_precedes_the_adjustment_of_its_list() -> None:
    lists = [a_list("a", adjustment={"percent": 50, "applies_to": {"categories": ["general"]}})]
    assert quoted(rulebook(lists=lists), shop_sheet([entry("a", "90")])).final_price == 90
    ended = entry("a", "90", until="2026-01-01")
    assert quoted(rulebook(lists=lists), shop_sheet([ended])).final_price == 50
    assert quoted(rulebook(lists=lists), shop_sheet(category="tv")).final_price == 100


def test_an_adjustment_of_a_list_in_another_currency_converts_its_base() -> None:
    lists = [a_list("a", currency="EUR", adjustment={"of": {"list": "u"}, "percent": 10}), a_list("u")]
    priced = shop_sheet([entry("u", "50")])
    world = values(rates={"USD/EUR": "0.8"})
    assert quoted(rulebook(lists=lists, convert=True), priced, world=world, currency="EUR").final_price == 36
    with pytest.raises(NoPrice):
        quoted(rulebook(lists=lists), priced, world=world, currency="EUR")


@pytest.mark.parametrize(
    ("formula", "price"),
    [
        ({"amount": "5"}, "14250"),
        ({"amount": "-5"}, "15750"),
        ({"percent": 10, "multiple_of": "20"}, "15000"),
        ({"percent": 10, "plus": "-0.5"}, "13425"),
        ({"amount": "3.5", "multiple_of": "1", "plus": "-0.01"}, "14549"),
        ({"percent": 10, "min_margin": "0.1"}, "13500"),
    ],
)
def test_amounts_of_an_adjustment_are_in_the_lists_currency_else_in_the_products(
    formula: dict[str, Any], price: str
) -> None:
    """100 USD are 15,000 JPY; a list of the product's currency and one without have the same price."""
    world, priced = values(rates={"USD/JPY": "150"}), shop_sheet(cost=Decimal(40))
    book = rulebook(lists=[a_list("a", currency=None, adjustment=formula)], convert=True)
    assert quoted(book, priced, world=world, currency="JPY").final_price == Decimal(price)
    lists = [
        a_list("j", currency="JPY", adjustment={"of": {"list": "u"}}),
        a_list("u", currency="USD", adjustment=formula),
    ]
    other = quoted(rulebook(lists=lists, convert=True), priced, world=world, currency="JPY")
    assert (other.price_list, other.final_price) == ("j", Decimal(price))


def test_an_adjustment_whose_amounts_have_no_rate_is_rejected() -> None:
    formula = {"of": {"list": "j"}, "amount": "5"}
    lists = [a_list("a", priority=1, currency=None, adjustment=formula), a_list("j", currency="JPY")]
    priced = shop_sheet([entry("j", "9000")])
    got = quoted(rulebook(lists=lists), priced, currency="JPY", explain=True)
    assert (got.price_list, ("a", "other_currency") in codes(got)) == ("j", True)


def test_a_list_in_the_querys_currency_needs_no_rate() -> None:
    book = rulebook(lists=[a_list("e", currency="EUR")])
    got = quoted(book, shop_sheet([entry("e", "50")], floor=Decimal("60.00")), currency="EUR", explain=True)
    assert (got.final_price, got.base_price, got.valid_until) == (50, None, None)
    assert ("rate", "no_rate") in codes(got)


def test_a_list_in_another_currency_is_rejected() -> None:
    got = quoted(rulebook(lists=[a_list("e", currency="EUR")]), shop_sheet([entry("e", "50")]), explain=True)
    assert (got.price_list, codes(got)) == (None, {("e", "other_currency")})


def test_a_customers_own_price_precedes_the_lists_general_one() -> None:
    book = rulebook(lists=[a_list("a"), a_list("b")])
    priced = shop_sheet([entry("a", "80"), entry("b", "70")])
    got = quoted(book, priced, contract=[entry("a", "85")], customer_id="c-1")
    assert (got.price_list, got.final_price) == ("a", 85)
    assert quoted(book, priced, contract=[entry("gone", "1")], customer_id="c-1").final_price == 70


def test_the_floor_holds_unless_the_list_charges_below_it() -> None:
    priced = shop_sheet([entry("a", "10")], floor=Decimal("40.00"))
    assert quoted(rulebook(lists=[a_list("a")]), priced).final_price == 40
    got = quoted(rulebook(lists=[a_list("a", below_floor="charge")]), priced, explain=True)
    assert got.final_price == 10
    assert [line.code for line in got.rejected or ()] == ["below_floor"]


def test_a_fee_is_in_the_total_and_the_unit_price_is_its_share() -> None:
    fee = entry("a", tiers=[{"unit_price": "1", "flat_fee": "1"}])
    got = quoted(rulebook(lists=[a_list("a")]), shop_sheet([fee]), quantity=3)
    assert (got.final_price, got.total) == (Decimal("1.33"), Decimal("4.00"))


def test_a_quantity_by_weight_has_a_total_in_minor_units() -> None:
    got = quoted(rulebook(), shop_sheet(list_price=Decimal("3.99")), quantity=Decimal("0.333"))
    assert (got.quantity, str(got.total)) == (Decimal("0.333"), "1.33")


def test_decimals_are_the_entrys_then_the_lists_then_the_products() -> None:
    priced = shop_sheet([entry("a", "1.234567", price_decimals=5), entry("b", "1.234567")], price_decimals=3)
    lists = [a_list("a", conditions=[group("a")]), a_list("b", conditions=[group("b")], price_decimals=4)]
    found = [str(quoted(rulebook(lists=lists), priced, customer_groups=(name,)).final_price) for name in "abc"]
    assert found == ["1.23457", "1.2346", "100.000"]


WINDOW = {"from": "2026-03-05", "until": "2026-03-20"}


@pytest.mark.parametrize(
    ("day", "chosen", "until"),
    [(4, None, 5), (5, None, 8), (8, "a", 12), (12, None, 20), (20, None, None)],
)
def test_an_entrys_window_lies_inside_its_lists(day: int, chosen: str | None, until: int | None) -> None:
    entries: list[PriceEntry] = [entry("a", "9", **{"from": "2026-03-08", "until": "2026-03-12"})]
    sheet: PriceSheet = shop_sheet(entries)
    lists = [a_list("a", **WINDOW), a_list("w", priority=-1, adjustment={"percent": 0}, **WINDOW)]
    got = quoted(rulebook(lists=lists), sheet, at=datetime(2026, 3, day, tzinfo=UTC))
    assert (got.price_list == "a") is (chosen == "a")
    assert got.valid_until == (None if until is None else datetime(2026, 3, until, tzinfo=UTC))


def test_an_entry_outside_its_lists_window_never_applies_and_ends_no_answer() -> None:
    lists = [a_list("a", until="2026-03-05")]
    priced = shop_sheet([entry("a", "9", **{"from": "2026-03-08"})])
    for day in (2, 6, 9):
        got = quoted(rulebook(lists=lists), priced, at=datetime(2026, 3, day, tzinfo=UTC))
        assert (got.price_list, got.valid_until) == (None, None)
