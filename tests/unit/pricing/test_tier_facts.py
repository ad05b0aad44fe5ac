"""The price facts about tiers, by their ids: T, M30, M31 and O13 of `price-facts.md`."""

from collections.abc import Mapping
from decimal import Decimal

import msgspec
import pytest

from shared.pricing.entries import EntryInput
from shared.pricing.tiers import ListTier, TierMode, line_amount
from tests.support.pricing_examples import tiers
from tests.support.shop_examples import quoted, rulebook, shop_sheet


def rows(*ends: tuple[int | None, str, str]) -> tuple[ListTier, ...]:
    return tuple(
        ListTier(up_to=None if end is None else Decimal(end), unit_price=Decimal(unit), flat_fee=Decimal(fee))
        for end, unit, fee in ends
    )


STRIPE = rows((5, "7", "0"), (10, "6.5", "0"), (None, "6", "0"))
STRIPE_2 = rows((5, "5", "0"), (10, "4", "0"), (15, "3", "0"), (20, "2", "0"), (None, "1", "0"))
LAGO = rows((10, "10", "2"), (20, "5", "3"), (None, "5", "3"))
M31 = rows((9, "10", "0"), (19, "8", "0"), (None, "6", "0"))
M30 = (ListTier(from_=Decimal(20), unit_price=Decimal(3)),)
O13 = (ListTier(up_to=Decimal(2), unit_price=Decimal(790)), ListTier(from_=Decimal(3), unit_price=Decimal(785)))


def packs(free: int) -> tuple[ListTier, ...]:
    return (ListTier(unit_price=Decimal(100), package_size=Decimal(10), free_units=Decimal(free)),)


@pytest.mark.parametrize(
    ("fact", "mode", "tiers_", "amounts"),
    [
        ("T1", "volume", STRIPE, {1: "7", 5: "35", 6: "39", 20: "120", 25: "150"}),
        ("T2", "graduated", STRIPE, {5: "35", 6: "41.5", 20: "127.5", 25: "157.5"}),
        ("T3", "volume", STRIPE_2, {1: "5", 5: "25", 6: "24", 20: "40", 25: "25"}),
        ("T4", "graduated", STRIPE_2, {6: "29"}),
        ("T5", "graduated", LAGO, {0: "2", 1: "12", 10: "102", 11: "110", 12: "115", 21: "163"}),
        ("T8", "package", packs(0), {121: "1300"}),
        ("T8", "package", packs(10), {121: "1200"}),
        ("T8", "package", packs(200), {121: "0"}),
        ("M30", "volume", M30, {255: "765", 20: "60", 19: None}),
        ("M31", "volume", M31, {9: "90", 10: "80", 19: "152", 20: "120"}),
        ("O13", "volume", O13, {1: "790", 3: "2355"}),
    ],
)
def test_the_tiers_of_the_fact_hold(
    fact: str, mode: TierMode, tiers_: tuple[ListTier, ...], amounts: Mapping[int, str | None]
) -> None:
    document = {"product_id": "P-1", "tier_mode": mode, "tiers": msgspec.to_builtins(tiers_)}
    priced = shop_sheet([msgspec.convert(document, EntryInput).entry("l")])
    book = rulebook(lists=[{"id": "l", "kind": "override", "currency": "USD"}])
    for quantity, expected in amounts.items():
        amount = line_amount(mode, tiers_, Decimal(quantity))
        assert amount == (None if expected is None else Decimal(expected))
        if quantity and expected is not None:
            assert quoted(book, priced, quantity=quantity).total == Decimal(expected)


def test_a_list_without_a_price_for_the_quantity_is_no_candidate() -> None:
    """M30: below the first tier's `from`, the published price holds."""
    document = {"product_id": "P-1", "tiers": [{"from": 20, "unit_price": 3}]}
    priced = shop_sheet([msgspec.convert(document, EntryInput).entry("l")], tiers=tiers((None, "100")))
    book = rulebook(lists=[{"id": "l", "kind": "override", "currency": "USD"}])
    assert quoted(book, priced, quantity=19).price_list is None
    assert quoted(book, priced, quantity=20).price_list == "l"
