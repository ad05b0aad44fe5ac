from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from shared.pricing.answer import Quote
from tests.support.shop_examples import entry, quoted, rulebook, shop_sheet, values

ID = "id"


def off(name: str, **fields: Any) -> dict[str, Any]:
    return {ID: name, **fields}


def codes(got: Quote) -> list[tuple[str, str | None]]:
    return [(line.reason.split(":")[0].split(" ")[1], line.code) for line in got.rejected or ()]


def test_promotions_of_the_same_priority_apply_by_id() -> None:
    promotions = [off("b", amount=10, currency="USD"), off("a", percent=50)]
    assert quoted(rulebook(promotions=promotions), shop_sheet()).final_price == 40
    assert quoted(rulebook(promotions=promotions[::-1]), shop_sheet()).promotions == ("a", "b")


def test_promotions_for_1_and_for_true_are_for_different_queries() -> None:
    """Python takes 1 for true; conditions that are alike are tested once."""
    wanted: dict[str, int | bool] = {"a": 1, "b": True, "c": 1}
    promotions = [
        off(name, percent=10, conditions=[{"attribute": "attributes.x", "eq": x}]) for name, x in wanted.items()
    ]
    book = rulebook(promotions=promotions)
    asked: tuple[int | bool, ...] = (1, True, 2)
    got = [quoted(book, shop_sheet(), attributes={"x": x}).promotions for x in asked]
    assert got == [("a", "c"), ("b",), ()]


def test_a_promotion_of_the_reference_takes_its_share_of_that() -> None:
    sale = {"id": "s", "kind": "sale", "currency": "USD"}
    promotions = [off("a", percent=10, of="reference"), off("b", percent=10)]
    got = quoted(rulebook(lists=[sale], promotions=promotions), shop_sheet([entry("s", "80")]))
    assert (got.final_price, got.reference_price) == (Decimal(63), Decimal(100))


def test_the_exclusive_one_of_highest_priority_applies_alone_and_without_membership() -> None:
    promotions = [off("a", percent=50, priority=9), off("b", percent=10, exclusive=True)]
    promotions += [off("c", percent=20, exclusive=True, priority=1)]
    sheet = shop_sheet(membership_rate=Decimal("0.05"))
    got = quoted(rulebook(promotions=promotions), sheet, is_prime_member=True, explain=True)
    assert (got.final_price, got.promotions, got.discount_rate) == (80, ("c",), 0)
    assert codes(got)[:2] == [("a", "exclusive_other"), ("b", "exclusive_other")]
    assert ("membership", "exclusive_other") in [(line.rule, line.code) for line in got.rejected or ()]


def test_membership_comes_off_last_and_is_the_discount_rate() -> None:
    sheet = shop_sheet(membership_rate=Decimal("0.05"))
    got = quoted(rulebook(promotions=[off("a", percent=10)]), sheet, is_prime_member=True)
    assert (got.final_price, got.discount_rate) == (Decimal("85.50"), Decimal("0.05"))


def test_a_list_that_does_not_combine_has_no_promotion_and_no_membership() -> None:
    lists = [{"id": "l", "kind": "override", "currency": "USD", "combinable": False}]
    sheet = shop_sheet([entry("l", "70")], membership_rate=Decimal("0.05"))
    got = quoted(rulebook(lists=lists, promotions=[off("a", percent=10)]), sheet, is_prime_member=True)
    assert (got.final_price, got.promotions, got.discount_rate) == (70, (), 0)


def test_the_best_one_is_the_one_that_takes_most_off() -> None:
    promotions = [off("a", percent=10, priority=9), off("b", amount=15, currency="USD"), off("z", percent=0)]
    book = rulebook(promotions=promotions, stacking="best")
    got = quoted(book, shop_sheet(), explain=True)
    assert (got.final_price, got.promotions) == (85, ("b",))
    assert codes(got) == [("a", "lower_priority"), ("z", "no_effect")]
    assert quoted(book, shop_sheet(list_price=Decimal(200))).promotions == ("a",)


def test_a_promotion_that_changes_nothing_is_not_applied() -> None:
    promotions = [off("a", percent=100), off("b", percent=10)]
    got = quoted(rulebook(promotions=promotions), shop_sheet(), explain=True)
    assert (got.final_price, got.promotions) == (0, ("a",))
    assert codes(got) == [("b", "no_effect")]


@pytest.mark.parametrize(
    ("convert", "rates", "code"), [(False, {"EUR/USD": "2"}, "other_currency"), (True, {}, "no_rate")]
)
def test_an_amount_that_cannot_be_converted_is_rejected(convert: bool, rates: dict[str, str], code: str) -> None:
    book = rulebook(promotions=[off("a", amount=10, currency="EUR")], convert=convert)
    got = quoted(book, shop_sheet(), world=values(rates=rates), explain=True)
    assert (got.final_price, got.promotions, codes(got)) == (100, (), [("a", code)])


def test_an_amount_converts_where_the_policy_allows_it() -> None:
    book = rulebook(promotions=[off("a", amount=10, currency="EUR")], convert=True)
    assert quoted(book, shop_sheet(), world=values(rates={"EUR/USD": "1.5"})).final_price == 85


@pytest.mark.parametrize(
    ("applies_to", "applied"),
    [
        ({"products": ["P-1"]}, True),
        ({"products": ["P-2"]}, False),
        ({"categories": ["tv", "audio"]}, True),
        ({"brands": ["acme"]}, True),
        ({"brands": ["bolt"]}, False),
        ({"tags": ["new", "old"]}, True),
        ({"tags": ["old"]}, False),
        ({"categories": ["tv"], "tags": ["new"]}, True),
    ],
)
def test_a_promotion_applies_to_what_it_names(applies_to: dict[str, Any], applied: bool) -> None:
    sheet = shop_sheet(category="audio", brand="acme", tags=("new", "red"))
    got = quoted(rulebook(promotions=[off("a", percent=10, applies_to=applies_to)]), sheet)
    assert bool(got.promotions) is applied


OPENS, CLOSES = datetime(2026, 3, 5, tzinfo=UTC), datetime(2026, 3, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "price", "valid_until", "code"),
    [
        (datetime(2026, 3, 4, 23, 59, 59, 999_999, UTC), 100, OPENS, "not_started"),
        (OPENS, 90, CLOSES, None),
        (datetime(2026, 3, 8, 23, 59, 59, 999_999, UTC), 90, CLOSES, None),
        (CLOSES, 100, None, "expired"),
    ],
)
def test_a_window_opens_and_closes_at_its_instants(
    at: datetime, price: int, valid_until: datetime | None, code: str | None
) -> None:
    promotion = off("a", percent=10, **{"from": "2026-03-05", "until": "2026-03-09"})
    got = quoted(rulebook(promotions=[promotion]), shop_sheet(), at=at, explain=True)
    assert (got.final_price, got.valid_until) == (price, valid_until)
    assert codes(got) == ([] if code is None else [("a", code)])


def test_a_window_whose_conditions_do_not_hold_changes_nothing_and_ends_no_answer() -> None:
    promotion = off("a", percent=10, until="2026-03-09", conditions=[{"attribute": "channel", "eq": "app"}])
    got = quoted(rulebook(promotions=[promotion]), shop_sheet(), explain=True)
    assert (got.final_price, got.valid_until, codes(got)) == (100, None, [("a", "condition_unmet")])
    assert quoted(rulebook(promotions=[promotion]), shop_sheet(), channel="app").valid_until == CLOSES


@pytest.mark.parametrize("price", ["100", "0"])
@pytest.mark.parametrize("stacking", ["all", "best"])
@pytest.mark.parametrize(
    "promotions",
    [
        [off("a", percent=10), off("b", percent=20, priority=1)],
        [off("a", percent=10), off("b", percent=100), off("c", percent=20)],
        [off("a", percent=10), off("b", percent=20, exclusive=True)],
        [off("a", percent=10), off("b", percent=20, of="reference")],
        [off("a", percent=10), off("b", amount=5, currency="USD")],
    ],
)
def test_promotions_take_off_together_as_one_by_one(
    promotions: list[dict[str, Any]], stacking: str, price: str
) -> None:
    """An explanation applies them one by one."""
    book, sheet = (
        rulebook(promotions=promotions, stacking=stacking),
        shop_sheet(published_price=Decimal(price), floor=Decimal(0)),
    )
    together, each = (quoted(book, sheet, is_prime_member=True, explain=explain) for explain in (False, True))
    assert (together.final_price, together.promotions) == (each.final_price, each.promotions)
    assert together.discount_rate == each.discount_rate
