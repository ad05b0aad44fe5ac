"""Undo of plans: the rulebook's parts and the prices go back together."""

from decimal import Decimal

import pytest

from shared.errors import StalePlan, StillInUse
from shared.plans.changes import Change
from shared.pricing.rulebook import Promotion
from tests.integration.catalogue_examples import product
from tests.integration.plans.shop import Shop
from tests.integration.plans.undo_shop import UndoShop

FULL = Decimal("0.4")


@pytest.fixture
def undo_shop(shop: Shop) -> UndoShop:
    return UndoShop(shop.services)


def furnished(shop: UndoShop) -> list[str]:
    ids = shop.stock(3)
    shop.write(product(ids[0], cost=Decimal(90)), product(ids[1], cost=Decimal(90)))
    return ids


def test_a_plan_is_undone_without_a_pause(undo_shop: UndoShop) -> None:
    shop = undo_shop
    ids = furnished(shop)
    before, policy = shop.prices(), shop.policy()
    plan = shop.apply(shop.plan(shop.policy(min_margin=FULL)).plan_id)
    assert shop.prices() != before
    undone = shop.undo(plan=plan.plan_id)
    assert shop.notes(undone) == {ids[0]: "restored", ids[1]: "restored"}
    assert (shop.prices(), shop.policy(), shop.paused()) == (before, policy, set())
    assert (shop.undo(plan=plan.plan_id).result or {})["undo"] == {}
    assert shop.prices() == before


def test_an_undo_is_undone(undo_shop: UndoShop) -> None:
    shop = undo_shop
    furnished(shop)
    plan = shop.apply(shop.plan(shop.policy(min_margin=FULL)).plan_id)
    after, policy = shop.prices(), shop.policy()
    undone = shop.undo(plan=plan.plan_id)
    shop.undo(plan=undone.plan_id)
    assert (shop.prices(), shop.policy()) == (after, policy)


def test_a_product_that_a_person_wrote_since_the_plan_is_left(undo_shop: UndoShop) -> None:
    shop = undo_shop
    ids = furnished(shop)
    before = shop.prices()
    plan = shop.apply(shop.plan(shop.policy(min_margin=FULL)).plan_id)
    shop.write(product(ids[1], cost=Decimal(95)))
    price = shop.price(ids[1])
    undone = shop.undo(plan=plan.plan_id)
    assert shop.notes(undone) == {ids[0]: "restored", ids[1]: "left"}
    assert (shop.price(ids[0]), shop.price(ids[1])) == (before[ids[0]].price, price)


def test_a_part_that_changed_since_refuses_the_undo(undo_shop: UndoShop) -> None:
    shop = undo_shop
    furnished(shop)
    plan = shop.apply(shop.plan(shop.policy(min_margin=FULL)).plan_id)
    shop.apply(shop.plan(shop.policy(min_margin=Decimal("0.2"))).plan_id)
    with pytest.raises(StalePlan, match="policy"):
        shop.plan_undo(plan=plan.plan_id)


def test_a_new_promotion_is_deleted(undo_shop: UndoShop) -> None:
    shop = undo_shop
    furnished(shop)
    plan = shop.apply(shop.plan(Change(promotion=Promotion(id="spring", percent=Decimal(10)))).plan_id)
    [change] = shop.undo(plan=plan.plan_id).changes
    assert change == {"delete": {"promotion": "spring"}}


def test_a_plan_that_cannot_be_undone_is_refused(undo_shop: UndoShop) -> None:
    shop = undo_shop
    furnished(shop)
    plan = shop.plan(shop.policy(min_margin=FULL))
    with pytest.raises(StillInUse, match="not applied"):
        shop.plan_undo(plan=plan.plan_id)
