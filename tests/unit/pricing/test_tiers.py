from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.pricing.entries import EntryInput
from shared.pricing.tiers import LARGEST_QUANTITY, ListTier, line_amount, tiered
from tests.support.pricing_examples import PROPERTY

SPLIT = (ListTier(up_to=Decimal("2.5"), unit_price=Decimal(10)), ListTier(unit_price=Decimal(8)))


@pytest.mark.parametrize(("quantity", "amount"), [("2.5", "25"), ("2.501", "20.008"), ("0.333", "3.33")])
def test_a_fraction_beyond_a_tier_belongs_to_the_next(quantity: str, amount: str) -> None:
    assert line_amount("volume", SPLIT, Decimal(quantity)) == Decimal(amount)


def test_a_last_tier_with_an_end_has_no_price_beyond_it() -> None:
    ended = (ListTier(up_to=Decimal(9), unit_price=Decimal(1)),)
    assert tiered("volume", ended, Decimal(9)) is not None
    assert tiered("volume", ended, Decimal(10)) is None
    assert tiered("graduated", ended, Decimal(10)) is None


def test_only_a_plain_volume_price_is_a_price_by_unit() -> None:
    fee = (ListTier(unit_price=Decimal(2), flat_fee=Decimal(3)),)
    with_fee, plain = tiered("volume", fee, Decimal(4)), tiered("volume", SPLIT, Decimal(4))
    assert with_fee is not None
    assert plain is not None
    assert (with_fee.by_unit, with_fee.unit.num, with_fee.unit.den) == (False, Decimal(11), Decimal(4))
    assert plain.by_unit


@pytest.mark.parametrize(
    ("tiers", "field"),
    [
        ([{"up_to": 9, "unit_price": 1}, {"up_to": 9, "unit_price": 1}], r"tiers\[1\].up_to"),
        ([{"up_to": 9, "unit_price": 1}, {"up_to": 5, "unit_price": 1}], r"tiers\[1\].up_to"),
        ([{"unit_price": 1}, {"up_to": 5, "unit_price": 1}], r"tiers\[0\].up_to"),
        ([{"up_to": 9, "unit_price": 1}, {"from": 8, "unit_price": 1}], r"tiers\[1\].from"),
        ([{"up_to": 9, "unit_price": 1}, {"from": 12, "unit_price": 1}], r"tiers\[1\].from"),
        ([{"from": 9, "up_to": 5, "unit_price": 1}], r"tiers\[0\].up_to"),
        ([{"unit_price": -1}], r"tiers\[0\].unit_price"),
        ([{"unit_price": "NaN"}], r"tiers\[0\].unit_price"),
        ([{"unit_price": 1, "package_size": 10}], r"tiers\[0\].package_size"),
        ([{"unit_price": 1, "free_units": 1}], r"tiers\[0\].free_units"),
        ([{"up_to": "0.0001", "unit_price": 1}], r"tiers\[0\].up_to"),
        ([], "amount"),
    ],
)
def test_wrong_tiers_are_refused_with_the_fields_name(tiers: list[dict[str, Any]], field: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=rf"^`{field}` must "):
        msgspec.convert({"product_id": "P-1", "tiers": tiers}, EntryInput)


@pytest.mark.parametrize("begin", [9, 10])
def test_a_later_tier_may_name_where_it_begins(begin: int) -> None:
    tiers = [{"up_to": 9, "unit_price": 1}, {"from": begin, "unit_price": 1}]
    assert len(msgspec.convert({"product_id": "P-1", "tiers": tiers}, EntryInput).tiers) == 2


def test_an_entry_with_a_wrong_window_or_two_prices_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"^`until` must be after from"):
        msgspec.convert({"product_id": "P-1", "amount": 1, "from": "2026-02-01", "until": "2026-01-01"}, EntryInput)
    with pytest.raises(msgspec.ValidationError, match=r"^`amount` must be given"):
        msgspec.convert({"product_id": "P-1", "amount": 1, "tiers": [{"unit_price": 1}]}, EntryInput)


@st.composite
def tier_rows(draw: st.DrawFn) -> tuple[ListTier, ...]:
    ends = sorted(draw(st.sets(st.decimals("0.001", 500, places=3), max_size=4)))
    prices, fees = st.decimals(0, 99, places=4), st.decimals(0, 9, places=2)
    return tuple(ListTier(up_to=end, unit_price=draw(prices), flat_fee=draw(fees)) for end in [*ends, None])


@PROPERTY
@given(tier_rows(), st.decimals("0.001", 1000, places=3), st.decimals("0.001", 1000, places=3))
def test_a_larger_graduated_line_never_costs_less(rows: tuple[ListTier, ...], one: Decimal, other: Decimal) -> None:
    amounts = [line_amount("graduated", rows, quantity) for quantity in sorted((one, other))]
    assert None not in amounts
    assert amounts[0] <= amounts[1]  # type: ignore[operator]  # None was ruled out


@PROPERTY
@given(st.decimals("0.001", 10_000, places=3), st.integers(1, 50), st.integers(0, 100))
def test_packages_hold_all_units_and_no_package_is_empty(quantity: Decimal, size: int, free: int) -> None:
    tier = ListTier(unit_price=Decimal(1), package_size=Decimal(size), free_units=Decimal(free))
    count = line_amount("package", (tier,), quantity)
    assert count is not None
    assert count * size >= quantity - free
    assert count == 0 or (count - 1) * size < quantity - free
    assert quantity < LARGEST_QUANTITY
