"""Undo of events, and of everything since an instant: signals get their earlier values back."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from shared.errors import InvalidInput, NoHistory
from tests.integration.catalogue_examples import product
from tests.integration.plans.shop import Shop
from tests.integration.plans.undo_shop import UndoShop


@pytest.fixture
def undo_shop(shop: Shop) -> UndoShop:
    return UndoShop(shop.services)


def signals(shop: UndoShop, product_id: str) -> dict[tuple[str, str], Decimal]:
    """The values of a product's signals."""
    query = "SELECT kind, source, value FROM signals WHERE product_id = %s"
    with shop.services.pool.connection() as conn:
        return {(row["kind"], row["source"]): row["value"] for row in conn.execute(query, [product_id])}


def furnished(shop: UndoShop) -> str:
    [product_id] = shop.ids(1)
    shop.write(product(product_id, stock=40, cost=Decimal(20)))
    shop.competitor(product_id, "97.00")
    return product_id


def test_an_event_is_undone_with_its_signal_and_without_a_pause(undo_shop: UndoShop) -> None:
    shop = undo_shop
    product_id = furnished(shop)
    before, price = signals(shop, product_id), shop.price(product_id)
    event = shop.competitor(product_id, "90.00")
    assert shop.price(product_id) != price
    plan = shop.undo(event=event)
    assert shop.notes(plan) == {product_id: "restored"}
    assert (signals(shop, product_id), shop.price(product_id), shop.paused()) == (before, price, set())
    shop.run()
    assert shop.price(product_id) == price
    assert (shop.undo(event=event).result or {})["undo"] == {}


def test_a_first_signal_is_gone_after_its_undo(undo_shop: UndoShop) -> None:
    shop = undo_shop
    product_id = furnished(shop)
    price = shop.price(product_id)
    event = shop.competitor(product_id, "90.00", "other")
    shop.undo(event=event)
    assert (set(signals(shop, product_id)), shop.price(product_id)) == ({("competitor", "acme")}, price)


def test_stock_and_cost_go_back_to_those_that_were_written(undo_shop: UndoShop) -> None:
    shop = undo_shop
    product_id = furnished(shop)
    events = [
        shop.event("stock_changed", product_id, stock=3),
        shop.event("cost_changed", product_id, cost="99.00", currency="USD"),
    ]
    for event in events:
        shop.undo(event=event)
    with shop.services.pool.connection() as conn:
        row = conn.execute("SELECT stock, cost FROM products WHERE product_id = %s", [product_id]).fetchone()
    assert row == {"stock": 40, "cost": Decimal(20)}


def test_a_live_signal_that_asks_for_the_undone_price_pauses_automation(undo_shop: UndoShop) -> None:
    shop = undo_shop
    product_id = furnished(shop)
    price = shop.price(product_id)
    event = shop.competitor(product_id, "90.00", "other")
    shop.competitor(product_id, "90.00")
    plan = shop.undo(event=event)
    assert (shop.notes(plan), shop.paused(), shop.price(product_id)) == ({product_id: "paused"}, {product_id}, price)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_events_of_one_signal_are_undone_in_any_order(undo_shop: UndoShop, order: tuple[int, int]) -> None:
    shop = undo_shop
    product_id = furnished(shop)
    before, price = signals(shop, product_id), shop.price(product_id)
    events = [shop.competitor(product_id, "93.00"), shop.competitor(product_id, "90.00")]
    for index in order:
        shop.undo(event=events[index])
    assert (signals(shop, product_id), shop.price(product_id)) == (before, price)


def test_everything_since_an_instant_is_undone(undo_shop: UndoShop) -> None:
    shop = undo_shop
    product_id = furnished(shop)
    before, price = signals(shop, product_id), shop.price(product_id)
    instant = shop.now()
    shop.competitor(product_id, "93.00")
    shop.competitor(product_id, "90.00", "other")
    shop.run()
    shop.undo(since=instant)
    assert (signals(shop, product_id), shop.price(product_id), shop.paused()) == (before, price, set())
    assert (shop.undo(since=instant).result or {})["undo"] == {}


def test_a_signal_alone_goes_back_where_no_price_moved(undo_shop: UndoShop) -> None:
    shop = undo_shop
    product_id = furnished(shop)
    before = signals(shop, product_id)
    event = shop.competitor(product_id, "120.00", "other")
    plan = shop.undo(event=event)
    assert (shop.notes(plan), signals(shop, product_id)) == ({product_id: "signals"}, before)


def test_a_product_that_a_person_wrote_since_keeps_its_signals(undo_shop: UndoShop) -> None:
    shop = undo_shop
    product_id = furnished(shop)
    event = shop.competitor(product_id, "90.00")
    shop.write(product(product_id, base_price=Decimal(80)))
    after, price = signals(shop, product_id), shop.price(product_id)
    plan = shop.undo(event=event)
    assert (shop.notes(plan), signals(shop, product_id)) == ({product_id: "left"}, after)
    assert shop.price(product_id) == price


def test_an_instant_outside_the_history_is_refused(undo_shop: UndoShop) -> None:
    def since(at: datetime) -> None:
        undo_shop.plan_undo(since=at)

    now = undo_shop.now()
    with pytest.raises(NoHistory):
        since(now - timedelta(days=401))
    with pytest.raises(InvalidInput, match="past"):
        since(now + timedelta(minutes=1))
