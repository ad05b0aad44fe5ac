from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.pricing_examples import PROPERTY
from tests.support.shop_examples import quoted, rulebook, shop_sheet

HOME = {"tax_rates": {"standard": "0.19", "reduced": "0.07"}}


def there(*, show: str = "gross", keep: str = "gross", rate: str | None = "0.25", amounts: str = "gross") -> Any:
    rates = {} if rate is None else {"standard": rate}
    markets = {"DEFAULT": {}, "DE": HOME, "XX": {"tax_rates": rates, "show": show, "keep": keep}}
    return rulebook(markets=markets, home_market="DE", amounts=amounts)


@pytest.mark.parametrize(
    ("form", "price"),
    [
        ({}, "119.00"),
        ({"show": "net"}, "95.20"),
        ({"keep": "net"}, "125.00"),
        ({"keep": "net", "show": "net"}, "100.00"),
        ({"amounts": "net"}, "141.61"),
        ({"amounts": "net", "show": "net"}, "113.29"),
        ({"amounts": "net", "keep": "net"}, "148.75"),
        ({"amounts": "net", "keep": "net", "show": "net"}, "119.00"),
        ({"rate": None}, "119.00"),
        ({"rate": None, "keep": "net"}, "100.00"),
        ({"rate": "0.19", "keep": "net"}, "119.00"),
    ],
)
def test_a_price_is_brought_from_the_written_to_the_shown_form(form: dict[str, str], price: str) -> None:
    """119 written; home has 19 %, the market 25 %."""
    got = quoted(there(**form), shop_sheet(list_price=Decimal("119.00")), user_location="XX")
    assert got.final_price == Decimal(price)
    assert (got.tax is None) == (form.get("rate", "") is None)


def test_a_product_has_the_rate_of_its_class_and_no_rate_is_no_tax() -> None:
    book = there()
    sheet = shop_sheet(list_price=Decimal("107.00"), tax_class="reduced")
    got = quoted(book, sheet, user_location="DE")
    assert got.tax is not None
    assert (got.tax.rate, got.tax.amount, got.tax.included) == (Decimal("0.07"), Decimal("7.00"), True)
    assert quoted(book, sheet, user_location="XX").tax is None
    assert quoted(rulebook(), sheet).tax is None


def test_the_floor_compares_net_with_net() -> None:
    """A floor of 119 with 19 % is 100 net, which is 125 where the rate is 25 %."""
    sheet = shop_sheet(list_price=Decimal("119.00"), floor=Decimal("119.00"))
    assert quoted(there(), sheet, user_location="XX").final_price == 125
    assert quoted(there(show="net"), sheet, user_location="XX").final_price == 100


@PROPERTY
@given(
    st.decimals("0.01", 9999, places=2),
    st.decimals(0, 1, places=4),
    st.integers(1, 50),
    st.sampled_from(["gross", "net"]),
    st.sampled_from(["unit", "line"]),
)
def test_net_and_tax_add_up_to_gross_within_a_half_unit_each(
    price: Decimal, rate: Decimal, quantity: int, show: str, rounds: str
) -> None:
    book = rulebook(markets={"DEFAULT": {"tax_rates": {"standard": rate}, "show": show}}, rounds=rounds, amounts=show)
    got = quoted(book, shop_sheet(list_price=price), quantity=quantity)
    assert got.tax is not None
    gross = got.total if got.tax.included else got.total + got.tax.amount
    net = gross - got.tax.amount
    most = Decimal("0.005") * (quantity if rounds == "unit" else 1) * (1 + rate)
    assert abs(net * (1 + rate) - gross) <= most
    assert got.tax.amount >= 0
