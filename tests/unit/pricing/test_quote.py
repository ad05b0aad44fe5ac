import json
from decimal import Decimal

import msgspec
import pytest

from shared.pricing.answer import NoPrice
from tests.support.prerequisites import public_data
from tests.support.pricing_examples import market, query, sheet, tiers
from tests.support.shop_examples import quoted_in as quote

T1 = tiers((5, "7"), (10, "6.5"), (None, "6"))


M31 = tiers((9, "10"), (19, "8"), (None, "6"))


@pytest.mark.parametrize(("quantity", "total"), [(1, "7"), (5, "35"), (6, "39"), (20, "120"), (25, "150")])
def test_a_volume_tier_prices_the_whole_quantity(quantity: int, total: str) -> None:
    """T1 of the price facts."""
    got = quote(sheet(list_price=Decimal("7.00"), tiers=T1), market(), query(quantity=quantity))
    assert got.total == Decimal(total)


@pytest.mark.parametrize(("quantity", "unit"), [(9, "10"), (10, "8"), (19, "8"), (20, "6")])
def test_a_tiers_last_quantity_belongs_to_it(quantity: int, unit: str) -> None:
    """M31 of the price facts."""
    got = quote(sheet(list_price=Decimal("10.00"), tiers=M31), market(), query(quantity=quantity))
    assert got.final_price == Decimal(unit)


@pytest.mark.parametrize(
    ("price", "expected"), [("20.00", "17.00"), ("20.25", "17.21"), ("10.50", "8.93"), ("9.94", "8.45")]
)
def test_a_discount_is_rounded_half_up(price: str, expected: str) -> None:
    """S1 of the price facts: 15 % off."""
    priced = sheet(list_price=Decimal(price), membership_rate=Decimal("0.15"))
    assert quote(priced, market(), query(is_prime_member=True)).final_price == Decimal(expected)


def test_a_tie_goes_down_where_the_policy_says_so() -> None:
    priced = sheet(list_price=Decimal("10.50"), membership_rate=Decimal("0.15"), rounding="HALF_DOWN")
    assert quote(priced, market(), query(is_prime_member=True)).final_price == Decimal("8.92")


def test_the_volume_tiers_and_discounts_of_the_published_facts_hold() -> None:
    facts = json.loads((public_data() / "price-facts.json").read_text())
    for fact in (fact for fact in facts["tiers"] if fact["mode"] == "volume"):
        rows = tiers(*((up_to, price) for up_to, price, _ in fact["tiers"]))
        priced = sheet(list_price=rows[0].unit_price, tiers=rows)
        for quantity, total in fact.get("total_at_quantity", {}).items():
            assert quote(priced, market(), query(quantity=int(quantity))).total == Decimal(total)
        for quantity, unit in fact.get("unit_at_quantity", {}).items():
            assert quote(priced, market(), query(quantity=int(quantity))).final_price == Decimal(unit)
    for fact in (fact for fact in facts["rounding"] if "discount_percent" in fact):
        rate = Decimal(fact["discount_percent"]) / 100
        for price, expected in fact["price_of"].items():
            priced = sheet(list_price=Decimal(price), membership_rate=rate, rounding=fact["rounding"])
            assert quote(priced, market(), query(is_prime_member=True)).final_price == Decimal(expected)


def test_a_member_in_a_market_pays_the_reference_figure() -> None:
    got = quote(sheet(), market("0.95"), query(is_prime_member=True))
    assert (got.final_price, got.discount_rate, got.market) == (Decimal("90.25"), Decimal("0.05"), "NY")


def test_member_price_never_reaches_a_non_member() -> None:
    priced = sheet()
    assert quote(priced, market(), query(is_prime_member=True)).final_price == Decimal("95.00")
    got = quote(priced, market(), query())
    assert (got.final_price, got.discount_rate) == (Decimal(100), Decimal(0))


def test_a_tier_follows_the_published_price_in_proportion() -> None:
    priced = sheet(list_price=Decimal("10.00"), published_price=Decimal("12.00"), tiers=M31)
    assert quote(priced, market(), query(quantity=10)).final_price == Decimal("9.60")


def test_a_tier_of_a_free_product_stands_for_itself() -> None:
    priced = sheet(list_price=Decimal("0.00"), tiers=tiers((9, "0"), (None, "2.00")))
    assert quote(priced, market("0.5"), query(quantity=10)).final_price == Decimal("1.00")
    assert quote(priced, market("0.5"), query(quantity=9)).final_price == 0


@pytest.mark.parametrize(("currency", "unit"), [("JPY", "33"), ("USD", "33.33"), ("KWD", "33.333")])
def test_the_unit_price_has_the_decimals_of_its_currency(currency: str, unit: str) -> None:
    rows = tiers((None, "1"))
    priced = sheet(currency=currency, list_price=Decimal(3), published_price=Decimal(100), tiers=rows)
    assert str(quote(priced, market(), query()).final_price) == unit


def test_the_ceiling_cuts_and_the_floor_wins_over_it() -> None:
    cut = sheet(ceiling=Decimal("80.00"))
    assert quote(cut, market(), query()).final_price == 80
    both = sheet(ceiling=Decimal("80.00"), floor=Decimal("90.00"))
    assert quote(both, market(), query()).final_price == 90


def test_another_currency_has_no_price() -> None:
    with pytest.raises(NoPrice) as caught:
        quote(sheet(), market(), query(currency="EUR"))
    assert (caught.value.product_id, caught.value.currency, caught.value.code) == ("P-1", "EUR", "other_currency")
    assert str(caught.value).startswith("P-1 has no price in EUR: ")


def test_what_was_not_asked_for_is_absent_from_the_answer() -> None:
    answer = json.loads(msgspec.json.encode(quote(sheet(), market(), query())))
    assert answer == {
        "product_id": "P-1",
        "currency": "USD",
        "quantity": 1,
        "base_price": "100.00",
        "reference_price": "100.00",
        "final_price": "100.00",
        "total": "100.00",
        "discount_rate": "0",
        "market": "NY",
        "version": 3,
        "rulebook_version": 1,
        "computed_at": "2026-03-01T12:00:00Z",
        "valid_until": None,
    }


def test_one_part_in_ten_to_the_34_below_a_tie_is_rounded_down() -> None:
    """The product is 84055798298374.25499999999999999999, which 33 digits would make a tie."""
    priced = sheet(
        list_price=Decimal("7.77"),
        published_price=Decimal("90000000426546.221031113429"),
        tiers=tiers((None, "7.77")),
        membership_rate=Decimal("0.0667"),
    )
    got = quote(priced, market("1.0007"), query(is_prime_member=True))
    assert got.final_price == Decimal("84055798298374.25")


def test_a_tie_stays_a_tie_through_a_division_without_end() -> None:
    """0.9 / 7 has no end; 35 % of it is 0.045 exactly."""
    priced = sheet(
        list_price=Decimal("7.00"),
        published_price=Decimal("0.9"),
        tiers=tiers((None, "1.00")),
        membership_rate=Decimal("0.65"),
    )
    assert quote(priced, market(), query(is_prime_member=True)).final_price == Decimal("0.05")
