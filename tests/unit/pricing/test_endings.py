from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.pricing.endings import Ending, ended
from shared.pricing.ratio import ONE, Ratio
from tests.support.pricing_examples import PROPERTY
from tests.support.shop_examples import entry, quoted, rulebook, shop_sheet, values

NINETY_NINE = {"multiple_of": "1", "plus": "-0.01"}


@pytest.mark.parametrize(
    ("price", "to", "expected"),
    [
        ("19.40", "nearest", "18.99"),
        ("19.50", "nearest", "19.99"),
        ("19.40", "up", "19.99"),
        ("19.40", "down", "18.99"),
        ("19.99", "up", "19.99"),
        ("19.99", "down", "19.99"),
        ("0.30", "nearest", "0.99"),
        ("0", "up", "0"),
    ],
)
def test_a_price_ends_as_the_policy_says(price: str, to: str, expected: str) -> None:
    book = rulebook(ending={**NINETY_NINE, "to": to})
    assert quoted(book, shop_sheet(list_price=Decimal(price))).final_price == Decimal(expected)


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"floor": Decimal("19.50")}, "19.99"),
        ({"ceiling": Decimal("19.50")}, "18.99"),
        ({"floor": Decimal("19.20"), "ceiling": Decimal("19.60")}, "19.20"),
        ({"ceiling": Decimal("0.50")}, "0.50"),
    ],
)
def test_an_ending_beyond_a_bound_takes_the_next_inside_else_the_bound(bounds: dict[str, Any], expected: str) -> None:
    book = rulebook(ending=NINETY_NINE)
    assert quoted(book, shop_sheet(list_price=Decimal("19.30"), **bounds)).final_price == Decimal(expected)


def test_converted_prices_have_the_ending_and_lists_only_where_they_want_it() -> None:
    lists = [{"id": "no", "kind": "override"}, {"id": "yes", "kind": "override", "currency": "EUR", "ending": True}]
    book = rulebook(lists=lists, ending=NINETY_NINE, convert=True)
    world = values(rates={"USD/GBP": "0.75"})
    sheet = shop_sheet([entry("no", "55.55"), entry("yes", "55.55")])
    assert quoted(book, sheet, world=world, currency="GBP").final_price == Decimal("74.99")
    assert quoted(book, sheet, world=world, currency="USD").final_price == Decimal("55.55")
    assert quoted(book, sheet, world=world, currency="EUR").final_price == Decimal("55.99")


@pytest.mark.parametrize("fields", [{"multiple_of": 0}, {"multiple_of": -1}, {"multiple_of": 1, "plus": "-1"}])
def test_an_ending_that_leads_nowhere_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"^`(multiple_of|plus)` must be "):
        msgspec.convert(fields, Ending)


@PROPERTY
@given(
    st.decimals("0.01", 999, places=4),
    st.decimals(1, 99, places=2),
    st.sampled_from(["nearest", "up", "down"]),
    st.decimals(0, 99, places=2),
    st.none() | st.decimals(0, 99, places=2),
)
@example(Decimal("0.01"), Decimal(1), "nearest", Decimal(0), Decimal("0.01"))
def test_an_ending_crosses_no_bound(
    num: Decimal, den: Decimal, to: Any, floor: Decimal, ceiling: Decimal | None
) -> None:
    ending = Ending(multiple_of=Decimal("0.5"), plus=Decimal("-0.01"), to=to)
    price = ended(Ratio(num, den), ending, floor, ceiling)
    assert price is not None
    assert price >= floor
    assert price > 0 or ceiling == 0
    if ceiling is not None and ceiling >= floor:
        assert price <= ceiling
    if price not in (floor, ceiling):
        assert (price - ending.plus) % ending.multiple_of == 0
    assert ONE is Ratio(num).den
