"""Each kind of change: what a plan of it shows, and what its application publishes."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from shared.errors import InvalidInput, StalePlan
from shared.plans.changes import (
    Change,
    Deletion,
    EntriesChange,
    ManualPriceChange,
    MarketChange,
    MultiplierChange,
    RateChange,
)
from shared.plans.views import ItemView, PlanView
from shared.pricing.conditions import Condition
from shared.pricing.entries import EntryWrite
from shared.pricing.market_rules import CostPlusRule, Strategy
from shared.pricing.rulebook import Adjustment, AppliesTo, PriceList, Promotion
from shared.rulebook import values
from shared.rulebook.values import By, NewValue
from tests.integration.catalogue_examples import product
from tests.integration.plans.shop import Shop

TEN = Decimal(10)


def public(items: list[ItemView]) -> list[tuple[str, str | None, str, str]]:
    """The public prices that move: product, market, old and new price."""
    return [(item.product_id, item.market, str(item.old_price), str(item.new_price)) for item in items if item.market]


def result(plan: PlanView) -> dict[str, Any]:
    assert plan.result is not None
    return plan.result


def market(code: str, **fields: Any) -> Change:
    return Change(market=MarketChange(code=code, **fields))


def test_a_promotion_moves_public_prices_in_every_market_that_it_touches(shop: Shop) -> None:
    ids = shop.stock(2)
    shop.apply(shop.plan(market("NY"), market("TX")).plan_id)
    spring = Promotion(id="spring", percent=TEN, conditions=(Condition(attribute="user_location", in_=("ny", "TX")),))
    plan = shop.plan(Change(promotion=spring))
    expected = [(product_id, code, "95.00", "85.50") for product_id in ids for code in ("NY", "TX")]
    assert public(shop.items(plan.plan_id)) == expected
    assert [row["market"] for row in result(plan)["public"]["markets"]] == ["NY", "TX"]
    assert result(plan)["public"]["movers"]["falls"][0]["change"] == "-0.100000"
    assert result(plan)["stay"] == 2


def test_a_promotion_that_opens_later_is_compared_at_its_beginning(shop: Shop) -> None:
    [product_id] = shop.stock(1)
    begins = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    plan = shop.plan(Change(promotion=Promotion(id="spring", percent=TEN, from_=begins)))
    assert public(shop.items(plan.plan_id)) == [(product_id, "DEFAULT", "95.00", "85.50")]
    assert datetime.fromisoformat(result(plan)["public"]["at"]) == datetime.fromisoformat(begins)


def test_a_promotion_on_categories_is_planned_on_their_products_alone(shop: Shop) -> None:
    [toy, _] = shop.stock(2)
    shop.write(product(toy, category="toys"))
    plan = shop.plan(Change(promotion=Promotion(id="toys", percent=TEN, applies_to=AppliesTo(categories=("toys",)))))
    assert (result(plan)["products"], plan.is_partial) == (1, False)
    assert [item[0] for item in public(shop.items(plan.plan_id))] == [toy]


def test_a_list_and_its_deletion_are_planned(shop: Shop) -> None:
    [product_id] = shop.stock(1)
    sale = PriceList(id="sale", kind="sale", adjustment=Adjustment(percent=TEN))
    made = shop.plan(Change(price_list=sale))
    assert public(shop.items(made.plan_id)) == [(product_id, "DEFAULT", "95.00", "85.50")]
    assert shop.apply(made.plan_id).status == "applied"
    gone = shop.plan(Change(delete=Deletion(price_list="sale")))
    assert public(shop.items(gone.plan_id)) == [(product_id, "DEFAULT", "85.50", "95.00")]


def test_entries_are_planned_and_stored_by_the_application(shop: Shop) -> None:
    [first, other, _] = shop.stock(3)
    shop.apply(shop.plan(Change(price_list=PriceList(id="sale", kind="sale"))).plan_id)
    written = (EntryWrite(product_id=first, amount=Decimal(80)), EntryWrite(product_id=other, amount=Decimal(70)))
    plan = shop.plan(Change(entries=EntriesChange(list="sale", entries=written)))
    assert result(plan)["products"] == 2
    expected = [(first, "DEFAULT", "95.00", "80.00"), (other, "DEFAULT", "95.00", "70.00")]
    assert public(shop.items(plan.plan_id)) == expected
    assert shop.apply(plan.plan_id).status == "applied"
    gone = Change(entries=EntriesChange(list="sale", entries=(EntryWrite(product_id=first, delete=True),)))
    assert public(shop.items(shop.plan(gone).plan_id)) == [(first, "DEFAULT", "80.00", "95.00")]


def test_wrong_entries_are_refused_with_their_place(shop: Shop) -> None:
    [product_id] = shop.stock(1)
    listed = Change(price_list=PriceList(id="sale", kind="sale"))
    for list_id, product_id_, path in (
        ("none", product_id, "$.changes[1].entries.list"),
        ("sale", "unknown", "$.changes[1].entries.entries[0].product_id"),
    ):
        written = EntriesChange(list=list_id, entries=(EntryWrite(product_id=product_id_, amount=TEN),))
        with pytest.raises(InvalidInput) as refused:
            shop.request(listed, Change(entries=written))
        assert refused.value.path == path


def test_a_market_and_its_multiplier_are_planned_and_put_in_force(shop: Shop) -> None:
    [product_id] = shop.stock(1)
    plan = shop.plan(market("NY"), Change(multiplier=MultiplierChange(market="NY", multiplier=Decimal("1.2"))))
    assert public(shop.items(plan.plan_id)) == [(product_id, "NY", "None", "114.00")]
    shop.apply(plan.plan_id)
    with shop.services.pool.connection() as conn:
        assert values.in_force(conn, "multiplier") == {"NY": Decimal("1.2")}


def test_a_value_that_changed_since_refuses_the_application(shop: Shop) -> None:
    shop.stock(1)
    plan = shop.plan(Change(multiplier=MultiplierChange(market="DEFAULT", multiplier=Decimal("1.2"))))
    with shop.services.pool.connection() as conn:
        values.add(conn, [NewValue("multiplier", "default", Decimal(2))], By("shop", "a test"))
    with pytest.raises(StalePlan, match="DEFAULT"):
        shop.apply(plan.plan_id)


def test_an_exchange_rate_is_planned_and_put_in_force(shop: Shop) -> None:
    [product_id] = shop.stock(1)
    shop.apply(shop.plan(shop.policy(convert=True), market("DE", currency="EUR")).plan_id)
    plan = shop.plan(Change(exchange_rate=RateChange(source="USD", target="EUR", rate=Decimal("0.5"))))
    assert public(shop.items(plan.plan_id)) == [(product_id, "DE", "None", "47.50")]
    shop.apply(plan.plan_id)
    with shop.services.pool.connection() as conn:
        assert values.in_force(conn, "exchange_rate") == {"USD/EUR": Decimal("0.5")}


def test_a_products_facts_are_planned_and_written_by_the_application(shop: Shop) -> None:
    [first, other] = shop.stock(2)
    plan = shop.plan(Change(product=product(first, base_price=Decimal(80), max_price=Decimal(70))))
    [item] = shop.items(plan.plan_id)
    assert (item.product_id, str(item.new_price), item.bound) == (first, "70.00", "ceiling")
    before = shop.prices()[other]
    assert shop.apply(plan.plan_id).status == "applied"
    assert (str(shop.prices()[first].price), shop.prices()[other]) == ("70.00", before)
    with shop.services.pool.connection() as conn:
        rows = conn.execute("SELECT base_price FROM products WHERE product_id = %s", [first]).fetchall()
    assert rows == [{"base_price": Decimal(80)}]


def test_a_product_that_was_written_since_refuses_the_application(shop: Shop) -> None:
    ids = shop.stock(30)
    plan = shop.plan(Change(product=product(ids[0], base_price=Decimal(80))), shop.policy(min_margin=Decimal("0.1")))
    shop.write(product(ids[0], name="Another name"))
    with pytest.raises(StalePlan, match=ids[0]):
        shop.apply(plan.plan_id)


def test_a_manual_price_and_its_end_are_planned(shop: Shop) -> None:
    [product_id] = shop.stock(1)
    manual = ManualPriceChange(product_id=product_id, price=Decimal(60), reason="a clearance")
    plan = shop.plan(Change(manual_price=manual))
    assert [str(item.new_price) for item in shop.items(plan.plan_id)] == ["60.00"]
    shop.apply(plan.plan_id)
    assert str(shop.prices()[product_id].price) == "60.00"
    shop.offer({product_id: "90.00"})
    assert str(shop.prices()[product_id].price) == "60.00"
    ended = shop.plan(Change(delete=Deletion(manual_price=product_id)))
    planned = shop.planned(ended.plan_id)
    shop.apply(ended.plan_id)
    assert shop.prices() == planned
    assert shop.prices()[product_id].price != Decimal(60)


def test_a_manual_price_may_have_the_decimals_of_its_product(shop: Shop) -> None:
    [product_id] = shop.stock(1, price_decimals=4)
    manual = ManualPriceChange(product_id=product_id, price=Decimal("99.0625"), reason="a clearance")
    plan = shop.plan(Change(manual_price=manual))
    assert [str(item.new_price) for item in shop.items(plan.plan_id)] == ["99.0625"]
    with pytest.raises(InvalidInput) as refused:
        shop.request(Change(manual_price=msgspec.structs.replace(manual, price=Decimal("99.06251"))))
    assert refused.value.path == "$.changes[0].manual_price.price"


def test_changes_of_products_that_do_not_exist_are_refused(shop: Shop) -> None:
    unknown = ManualPriceChange(product_id="unknown", price=TEN, reason="a clearance")
    for change, path in (
        (Change(delete=Deletion(product="unknown")), "$.changes[0].delete.product"),
        (Change(manual_price=unknown), "$.changes[0].manual_price.product_id"),
    ):
        with pytest.raises(InvalidInput) as refused:
            shop.request(change)
        assert refused.value.path == path


def test_a_policy_is_refused_as_a_direct_write_of_it_is(shop: Shop) -> None:
    low = {"x": Strategy(cost_plus=CostPlusRule(markup=Decimal("0.01")))}
    policy = shop.policy(min_margin=Decimal("0.05")).policy
    assert policy is not None
    change = Change(policy=msgspec.structs.replace(policy, strategies=policy.strategies | low))
    with pytest.raises(InvalidInput) as refused:
        shop.request(shop.policy(), change)
    assert refused.value.path == "$.changes[1].policy.strategies.x.cost_plus.markup"


def test_a_plan_finds_names_that_no_product_has_and_rules_without_an_effect(shop: Shop) -> None:
    [product_id] = shop.stock(1)
    spring = Promotion(id="spring", percent=TEN, applies_to=AppliesTo(products=(product_id,), tags=("nowhere",)))
    [unknown] = result(shop.plan(Change(promotion=spring)))["findings"]
    assert (unknown["code"], unknown["part"]) == ("unknown_name", "promotion spring")
    assert unknown["reason"] == "no product has one of these tags: nowhere"
    [nothing] = result(shop.plan(Change(promotion=Promotion(id="none", percent=Decimal(0)))))["findings"]
    assert (nothing["code"], nothing["part"]) == ("no_effect", "promotion none")


def test_a_plan_finds_products_without_a_price_in_a_markets_currency(shop: Shop) -> None:
    [product_id] = shop.stock(1)
    [finding] = result(shop.plan(market("DE", currency="EUR")))["findings"]
    assert (finding["code"], finding["query"]) == ("no_price", {"product_id": product_id, "user_location": "DE"})
