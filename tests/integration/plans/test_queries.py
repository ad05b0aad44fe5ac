"""Queries of the shop's own: revenue and margin before and after a plan, on given volumes."""

from decimal import Decimal
from typing import Any

from shared.plans.changes import Change
from shared.plans.queries import ShopQuery
from shared.pricing.rulebook import Promotion
from tests.integration.catalogue_examples import product
from tests.integration.plans.shop import Shop

SPRING = Change(promotion=Promotion(id="spring", percent=Decimal(10)))


def planned(shop: Shop, *queries: ShopQuery) -> dict[str, Any]:
    found: dict[str, Any] = (shop.plan(SPRING, queries=queries).result or {})["queries"]
    return found


def test_revenue_and_margin_are_those_of_the_quotes_times_the_volume(shop: Shop) -> None:
    [first, _] = shop.stock(2)
    shop.write(product(first, cost=Decimal(50)))
    members = ShopQuery(name="members", is_prime_member=True, quantity=2, volume=Decimal(3))
    found = planned(shop, ShopQuery(name="all"), members)
    assert (found["all"]["products"], found["all"]["fall"], found["all"]["rise"]) == (2, 2, 0)
    money = found["all"]["money"]["USD"]
    assert (money["revenue_before"], money["revenue_after"], money["without_cost"]) == ("190.00", "171.00", 1)
    assert (money["margin_before"], money["margin_after"]) == ("45.00", "35.50")
    # 95.00 less 5 % for members; 10 % less before that.
    assert found["members"]["money"]["USD"]["revenue_before"] == str(2 * 3 * 2 * Decimal("90.25"))
    assert found["members"]["money"]["USD"]["revenue_after"] == str(2 * 3 * 2 * Decimal("81.23"))


def test_volumes_by_product_leave_the_others_out(shop: Shop) -> None:
    [first, _] = shop.stock(2)
    found = planned(shop, ShopQuery(name="sold", volumes={first: Decimal(10)}))
    assert (found["sold"]["products"], found["sold"]["money"]["USD"]["revenue_before"]) == (1, "950.00")


def test_products_without_a_price_are_counted_apart(shop: Shop) -> None:
    shop.stock(2)
    found = planned(shop, ShopQuery(name="abroad", currency="EUR"))
    assert (found["abroad"]["products"], found["abroad"]["not_comparable"]) == (2, 2)
