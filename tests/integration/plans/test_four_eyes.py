"""With four eyes a hold is approved by a key that is not behind its target."""

from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import msgspec
import pytest

from api.routes import holds as api
from api.routes.holds import HoldAnswer, HoldsAnswer
from shared.cache.near import NearCache
from shared.errors import Forbidden
from shared.prices import hold_answers, holds
from shared.prices.hold_answers import Answer
from shared.prices.holds import HoldFilter, HoldView
from shared.pricing.rulebook import NEUTRAL
from shared.rulebook import store as rulebook
from tests.integration.catalogue_examples import add_competitor
from tests.integration.plans.shop import BY, Shop
from tests.integration.plans.undo_shop import UndoShop

SENDER, ANOTHER = 7, 8


@pytest.fixture
def undo_shop(shop: Shop) -> UndoShop:
    """A shop that holds what moves by more than 10 %."""
    policy = msgspec.structs.replace(NEUTRAL.policy, hold_above=Decimal("0.1"))
    with shop.services.pool.connection() as conn:
        rulebook.publish(conn, msgspec.structs.replace(NEUTRAL, policy=policy), BY)
    return UndoShop(shop.services)


def opened(shop: Shop) -> dict[str, HoldView]:
    with shop.services.pool.connection() as conn:
        return {hold.product_id: hold for hold in holds.page(conn, "open", HoldFilter(), 10, None)}


def approve(shop: Shop, hold_id: UUID, key_id: int | None, *, four_eyes: bool = True) -> None:
    with shop.services.pool.connection() as conn:
        hold_answers.approve(conn, [hold_id], Answer("a clearance", "shop", key_id, four_eyes))


def test_the_key_that_sent_the_event_may_not_approve_its_hold_and_another_one_may(undo_shop: UndoShop) -> None:
    shop = undo_shop
    [product_id] = shop.stock(1)
    shop.competitor(product_id, "80.00", key_id=SENDER)
    hold = opened(shop)[product_id]
    assert hold.key_ids == [SENDER]
    with pytest.raises(Forbidden, match="this key is behind the target"):
        approve(shop, hold.hold_id, SENDER)
    with pytest.raises(Forbidden, match="the command has no key"):
        approve(shop, hold.hold_id, None)
    approve(shop, hold.hold_id, ANOTHER)
    assert shop.price(product_id) == Decimal("80.00")


def test_without_the_setting_and_without_a_key_anyone_approves(undo_shop: UndoShop) -> None:
    shop = undo_shop
    sent, published = shop.stock(2)
    shop.competitor(sent, "80.00", key_id=SENDER)
    shop.competitor(published, "80.00")
    found = opened(shop)
    assert found[published].key_ids == []
    approve(shop, found[published].hold_id, None)
    approve(shop, found[sent].hold_id, SENDER, four_eyes=False)
    assert not opened(shop)


def test_a_later_decision_without_a_key_does_not_free_the_hold(undo_shop: UndoShop) -> None:
    shop = undo_shop
    [product_id] = shop.stock(1)
    shop.competitor(product_id, "80.00", key_id=SENDER)
    shop.competitor(product_id, "79.00", key_id=ANOTHER)
    shop.competitor(product_id, "78.00")
    shop.competitor(product_id, "77.00")
    assert opened(shop)[product_id].key_ids == [SENDER, ANOTHER]


def test_the_key_whose_rules_a_run_follows_is_behind_its_holds(undo_shop: UndoShop) -> None:
    shop = undo_shop
    [product_id] = shop.stock(1)
    with shop.services.pool.connection() as conn:
        add_competitor(conn, product_id, "80.00")
    shop.run(product_id, key_id=SENDER)
    assert opened(shop)[product_id].key_ids == [SENDER]


def test_of_several_those_that_the_key_is_behind_are_left(undo_shop: UndoShop) -> None:
    shop = undo_shop
    own, free = shop.stock(2)
    shop.competitor(own, "80.00", key_id=SENDER)
    shop.competitor(free, "80.00")
    settings = msgspec.structs.replace(shop.services.settings, four_eyes=True)
    services: Any = SimpleNamespace(
        settings=settings,
        transaction=shop.services.pool.connection,
        near=NearCache(10, 100_000),
        writer=shop.services.writer,
    )
    caller: Any = SimpleNamespace(user=SimpleNamespace(id=SENDER, name="crawler"))
    answered = api.approve(services, caller.user, HoldsAnswer("a clearance"))
    assert (answered.answered, answered.left, list(opened(shop))) == (1, 1, [own])
    with pytest.raises(Forbidden):
        api.approve_hold.fn(caller, services, opened(shop)[own].hold_id, HoldAnswer("a clearance"))
    api.refuse_hold.fn(caller, services, opened(shop)[own].hold_id, HoldAnswer("too low"))
    assert not opened(shop)
