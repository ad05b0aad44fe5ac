"""Undo of plans that wrote products, manual prices, entries of lists and market values."""

from decimal import Decimal
from typing import Any

import pytest

from shared.catalogue import price_lists, products
from shared.errors import StalePlan
from shared.plans.changes import (
    Change,
    Deletion,
    EntriesChange,
    ManualPriceChange,
    MultiplierChange,
    RateChange,
)
from shared.prices import manual_prices
from shared.pricing.entries import EntryWrite
from shared.pricing.product import ProductInput
from shared.pricing.rulebook import PriceList
from shared.pricing.state import ManualPrice
from shared.rulebook import values
from shared.rulebook.values import By, NewValue
from tests.integration.catalogue_examples import product
from tests.integration.plans.shop import Shop
from tests.integration.plans.undo_shop import UndoShop


@pytest.fixture
def undo_shop(shop: Shop) -> UndoShop:
    return UndoShop(shop.services)


def facts(shop: UndoShop, product_id: str) -> ProductInput:
    with shop.services.pool.connection() as conn:
        return products.view(conn, product_id).product


def applied(shop: UndoShop, *changes: Change) -> Any:
    """The id of a plan that is applied."""
    plan = shop.apply(shop.plan(*changes).plan_id)
    assert plan.status == "applied", plan.error
    return plan.plan_id


def entries(shop: UndoShop, list_id: str = "sale") -> dict[tuple[str, str | None], Decimal | None]:
    """The amounts of a list's entries."""
    with shop.services.pool.connection() as conn:
        found = price_lists.page(conn, list_id, 0, None, 100, None)
    return {(row.product_id, entry.customer_id): entry.amount for row, entry in found}


def manual(product_id: str, price: str) -> Change:
    return Change(manual_price=ManualPriceChange(product_id=product_id, price=Decimal(price), reason="a clearance"))


def sale(*written: EntryWrite) -> Change:
    return Change(entries=EntriesChange(list="sale", entries=written))


def test_facts_and_prices_go_back_together_and_twice_is_once(undo_shop: UndoShop) -> None:
    shop = undo_shop
    [first, other] = shop.stock(2, stock=9)
    before, old = shop.prices(), facts(shop, first)
    plan = applied(shop, Change(product=product(first, base_price=Decimal(80), max_price=Decimal(70), stock=5)))
    assert shop.prices() != before
    undone = shop.undo(plan=plan)
    assert (shop.notes(undone), shop.prices(), facts(shop, first)) == ({first: "restored"}, before, old)
    state = shop.sheets()
    assert (shop.undo(plan=plan).result or {})["undo"] == {}
    assert shop.sheets() == state
    shop.undo(plan=undone.plan_id)
    assert (facts(shop, first).max_price, str(shop.price(first))) == (Decimal(70), "70.00")
    assert shop.undo(plan=plan).status == "applied"
    assert (shop.prices(), facts(shop, first), facts(shop, other)) == (before, old, facts(shop, other))


def test_facts_without_an_effect_on_the_price_go_back(undo_shop: UndoShop) -> None:
    shop = undo_shop
    [product_id] = shop.stock(1)
    plan = applied(shop, Change(product=product(product_id, name="Another name")))
    assert shop.notes(shop.undo(plan=plan)) == {product_id: "restored"}
    assert facts(shop, product_id).name == product(product_id).name


def test_facts_that_a_person_wrote_since_are_left_and_listed(undo_shop: UndoShop) -> None:
    shop = undo_shop
    [first, other] = shop.stock(2)
    changed = [product(product_id, base_price=Decimal(80), max_price=Decimal(70)) for product_id in (first, other)]
    plan = applied(shop, *(Change(product=one) for one in changed))
    shop.write(product(first, base_price=Decimal(80), max_price=Decimal(75)))
    price = shop.price(first)
    assert shop.notes(shop.undo(plan=plan)) == {first: "left", other: "restored"}
    assert (shop.price(first), facts(shop, first).max_price, facts(shop, other).max_price) == (price, Decimal(75), None)


def test_stock_that_an_event_replaced_since_stays(undo_shop: UndoShop) -> None:
    shop = undo_shop
    [product_id] = shop.stock(1, stock=9)
    plan = applied(shop, Change(product=product(product_id, base_price=Decimal(80), stock=5)))
    shop.event("stock_changed", product_id, stock=3)
    shop.undo(plan=plan)
    assert (facts(shop, product_id).stock, facts(shop, product_id).base_price) == (3, Decimal("100.00"))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_plans_of_one_product_are_undone_from_the_last_one(undo_shop: UndoShop, order: tuple[int, int]) -> None:
    shop = undo_shop
    [product_id] = shop.stock(1)
    before = shop.prices()
    plans = [
        applied(shop, Change(product=product(product_id, base_price=Decimal(80), max_price=Decimal(price))))
        for price in (70, 60)
    ]
    for index in order:
        shop.undo(plan=plans[index])
    # The first one is under the second, which a person wrote since.
    expected = before if order == (1, 0) else {product_id: shop.prices()[product_id]}
    assert shop.prices() == expected
    assert facts(shop, product_id).max_price == (None if order == (1, 0) else Decimal(70))


def test_a_manual_price_goes_back_to_the_one_before(undo_shop: UndoShop) -> None:
    shop = undo_shop
    [product_id] = shop.stock(1)
    before = shop.price(product_id)
    first, second = applied(shop, manual(product_id, "60")), applied(shop, manual(product_id, "50"))
    ended = applied(shop, Change(delete=Deletion(manual_price=product_id)))
    for plan, price in ((ended, "50.00"), (second, "60.00"), (first, str(before))):
        assert shop.notes(shop.undo(plan=plan)) == {product_id: "restored"}
        assert str(shop.price(product_id)) == price
    shop.offer({product_id: "90.00"})
    assert str(shop.price(product_id)) == "90.00"


def test_a_manual_price_that_a_person_set_since_is_left(undo_shop: UndoShop) -> None:
    shop = undo_shop
    [product_id] = shop.stock(1)
    plan = applied(shop, manual(product_id, "60"))
    with shop.services.pool.connection() as conn:
        manual_prices.put(conn, product_id, ManualPrice(price=Decimal(55), reason="a test"), "a-write")
    assert shop.notes(shop.undo(plan=plan)) == {product_id: "left"}
    assert str(shop.price(product_id)) == "55.00"


def test_entries_go_back_in_lists_and_in_sheets(undo_shop: UndoShop) -> None:
    shop = undo_shop
    [first, other, third] = shop.stock(3)
    applied(shop, Change(price_list=PriceList(id="sale", kind="sale")))
    applied(shop, sale(EntryWrite(product_id=first, amount=Decimal(80))))
    before, prices = entries(shop), shop.prices()
    plan = applied(
        shop,
        sale(
            EntryWrite(product_id=first, amount=Decimal(70)),
            EntryWrite(product_id=other, amount=Decimal(60)),
            EntryWrite(product_id=third, customer_id="c-1", amount=Decimal(50)),
        ),
    )
    planned = shop.plan_undo(plan=plan)
    public = {item.product_id: str(item.new_price) for item in shop.items(planned.plan_id, market="DEFAULT")}
    assert public == {first: "80.00", other: "95.00"}
    undone = shop.undo(plan=plan)
    assert shop.notes(undone) == dict.fromkeys((first, other, third), "restored")
    assert (entries(shop), shop.prices()) == (before, prices)
    assert (shop.undo(plan=plan).result or {})["undo"] == {}
    shop.undo(plan=undone.plan_id)
    assert entries(shop)[third, "c-1"] == Decimal(50)


def test_an_earlier_change_is_undone_under_entries_that_are_undone(undo_shop: UndoShop) -> None:
    shop = undo_shop
    [product_id] = shop.stock(1)
    before = shop.prices()
    applied(shop, Change(price_list=PriceList(id="sale", kind="sale")))
    first = applied(shop, Change(product=product(product_id, base_price=Decimal(80), max_price=Decimal(70))))
    second = applied(shop, sale(EntryWrite(product_id=product_id, amount=Decimal(60))))
    for plan in (second, first):
        assert shop.notes(shop.undo(plan=plan)) == {product_id: "restored"}
    assert (shop.prices(), entries(shop)) == (before, {})


def test_market_values_go_back_to_those_before_or_to_none(undo_shop: UndoShop) -> None:
    shop = undo_shop
    shop.stock(1)
    plan = applied(
        shop,
        Change(multiplier=MultiplierChange(market="DEFAULT", multiplier=Decimal("1.2"))),
        Change(exchange_rate=RateChange(source="USD", target="EUR", rate=Decimal("0.5"))),
    )
    undone = shop.undo(plan=plan)
    with shop.services.pool.connection() as conn:
        assert (values.in_force(conn, "multiplier"), values.in_force(conn, "exchange_rate")) == ({}, {})
    shop.undo(plan=undone.plan_id)
    with shop.services.pool.connection() as conn:
        assert values.in_force(conn, "multiplier") == {"DEFAULT": Decimal("1.2")}
        values.add(conn, [NewValue("multiplier", "DEFAULT", Decimal(2))], By("shop", "a test"))
    with pytest.raises(StalePlan, match="DEFAULT"):
        shop.plan_undo(plan=plan)


def multiplier(shop: UndoShop) -> Decimal | None:
    with shop.services.pool.connection() as conn:
        return values.in_force(conn, "multiplier").get("DEFAULT")


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_events_of_a_market_are_undone_in_any_order(undo_shop: UndoShop, order: tuple[int, int]) -> None:
    shop = undo_shop
    shop.stock(1)
    with shop.services.pool.connection() as conn:
        values.add(conn, [NewValue("multiplier", "DEFAULT", Decimal(1))], By("shop", "a test"))
    events = [shop.market("1.2"), shop.market("1.5")]
    for index in order:
        assert shop.undo(event=events[index]).status == "applied"
    assert multiplier(shop) == 1
    assert shop.undo(event=events[0]).changes == []


def test_everything_since_an_instant_takes_back_the_multipliers_of_events(undo_shop: UndoShop) -> None:
    shop = undo_shop
    shop.stock(1)
    kept = shop.market("1.2")
    instant = shop.now()
    shop.market("1.5")
    shop.market("1.7")
    shop.undo(since=instant)
    assert multiplier(shop) == Decimal("1.2")
    shop.undo(event=kept)
    assert multiplier(shop) is None
