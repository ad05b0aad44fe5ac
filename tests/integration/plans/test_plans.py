"""Plans of a policy: their effect is computed and nothing moves; their application publishes what they showed."""

from decimal import Decimal

import pytest

from shared.catalogue import staged_imports
from shared.catalogue.product_set import ProductSet
from shared.errors import AlreadyEnded, InvalidInput, StalePlan
from shared.plans import retention, store, views
from shared.plans.changes import Change
from shared.pricing.rulebook import PriceList, Promotion
from tests.integration.catalogue_examples import product
from tests.integration.plans.shop import Shop, ids_of

FULL = Decimal("0.4")


def test_a_plan_counts_what_would_move_and_moves_nothing(shop: Shop) -> None:
    ids = shop.stock(3)
    shop.write(product(ids[0], cost=Decimal(90)))
    before = shop.sheets()
    plan = shop.plan(shop.policy(min_margin=FULL))
    assert (plan.status, plan.progress.done, plan.progress.total) == ("ready", 3, 3)
    result = plan.result or {}
    assert [result[name] for name in ("products", "rise", "fall", "stay", "held", "failed")] == [3, 1, 0, 2, 0, 0]
    assert result["bounds"] == {"floor": 1}
    [item] = shop.items(plan.plan_id)
    assert (item.product_id, str(item.new_price), item.bound) == (ids[0], "126.00", "floor")
    assert shop.sheets() == before


def test_the_largest_movers_have_both_explanations(shop: Shop) -> None:
    [product_id] = shop.stock(1)
    shop.write(product(product_id, cost=Decimal(90)))
    [mover] = (shop.plan(shop.policy(min_margin=FULL)).result or {})["movers"]["rises"]
    assert (mover["product_id"], mover["new_price"]) == (product_id, "126.00")
    assert mover["new_steps"][-1]["rule"] == "floor"
    assert mover["old_steps"] != mover["new_steps"]


def test_an_application_publishes_the_planned_prices_under_the_new_rulebook(shop: Shop) -> None:
    ids = shop.stock(3)
    shop.write(product(ids[0], cost=Decimal(90)))
    plan = shop.plan(shop.policy(min_margin=FULL))
    planned = shop.planned(plan.plan_id)
    applied = shop.apply(plan.plan_id)
    assert (applied.status, applied.redecided) == ("applied", 0)
    assert shop.prices() == planned
    with shop.services.pool.connection() as conn:
        row = conn.execute("SELECT cause, cause_id FROM prices WHERE product_id = %s", [ids[0]]).fetchone()
    assert row == {"cause": "plan", "cause_id": str(plan.plan_id)}
    assert shop.policy().policy == shop.policy(min_margin=FULL).policy


def test_a_target_that_only_waited_goes_on_waiting_unless_the_plan_ends_the_limit(shop: Shop) -> None:
    ids = shop.stock(3)
    shop.apply(shop.plan(shop.policy(hold_above=Decimal("0.01"))).plan_id)
    shop.offer(dict.fromkeys(ids, "90.00"))
    assert all(price.held == Decimal(90) for price in shop.prices().values())
    plan = shop.plan(shop.policy(membership_rate=Decimal("0.01")))
    assert ((plan.result or {})["held"], (plan.result or {})["stay"]) == (3, 3)
    assert shop.apply(plan.plan_id).status == "applied"
    assert shop.prices() == shop.planned(plan.plan_id)
    plan = shop.plan(shop.policy(hold_above=None))
    assert ((plan.result or {})["held"], (plan.result or {})["fall"]) == (0, 3)
    assert shop.apply(plan.plan_id).redecided == 0
    assert shop.prices() == shop.planned(plan.plan_id)


def test_a_price_that_changed_since_is_decided_anew_and_listed(shop: Shop) -> None:
    ids = shop.stock(30)
    shop.write(*(product(product_id, cost=Decimal(90)) for product_id in ids))
    plan = shop.plan(shop.policy(min_margin=FULL))
    shop.write(product(ids[0], cost=Decimal(95)))
    applied = shop.apply(plan.plan_id)
    assert (applied.status, applied.redecided) == ("applied", 1)
    [item] = shop.items(plan.plan_id, redecided=True)
    assert (item.product_id, str(item.new_price), str(item.redecided)) == (ids[0], "126.00", "133.00")
    assert str(shop.prices()[ids[0]].price) == "133.00"


def test_an_application_is_refused_where_too_many_prices_changed(shop: Shop) -> None:
    ids = shop.stock(10)
    plan = shop.plan(shop.policy(min_margin=FULL))
    shop.write(product(ids[0], cost=Decimal(95)))
    before = shop.sheets()
    with pytest.raises(StalePlan, match="10 % of its prices"):
        shop.apply(plan.plan_id)
    assert shop.sheets() == before


def test_an_application_is_refused_where_a_part_that_it_touches_changed(shop: Shop) -> None:
    shop.stock(1)
    plan, other = shop.plan(shop.policy(min_margin=FULL)), shop.plan(shop.policy(min_margin=Decimal("0.1")))
    shop.apply(other.plan_id)
    with pytest.raises(StalePlan, match="policy"):
        shop.apply(plan.plan_id)


def test_a_plan_on_chosen_products_is_for_looking(shop: Shop) -> None:
    ids = shop.stock(2)
    plan = shop.plan(shop.policy(min_margin=FULL), chosen=ProductSet((ids[0],)))
    assert ((plan.result or {})["products"], plan.is_partial) == (1, True)
    with pytest.raises(AlreadyEnded, match="chosen products"):
        shop.apply(plan.plan_id)


def test_a_plan_on_a_sample_is_for_looking(shop: Shop) -> None:
    shop.stock(9)
    plan = shop.plan(shop.policy(min_margin=FULL), sample=4)
    assert ((plan.result or {})["products"], plan.is_partial) == (4, True)


def test_a_wrong_change_is_refused_with_the_path_inside_it(shop: Shop) -> None:
    sale = PriceList(id="summer", kind="sale", from_="2026-07-02", until="2026-07-01")
    with pytest.raises(InvalidInput) as refused:
        shop.request(shop.policy(), Change(price_list=sale))
    assert refused.value.path.startswith("$.changes[1].price_list.")


def test_a_plan_of_a_promotion_alone_is_applied_at_once(shop: Shop) -> None:
    shop.stock(2)
    before = shop.prices()
    plan = shop.plan(Change(promotion=Promotion(id="spring", percent=Decimal(10))))
    assert shop.apply(plan.plan_id).status == "applied"
    assert shop.prices() == before


def test_a_second_application_is_refused(shop: Shop) -> None:
    shop.stock(1)
    plan = shop.plan(shop.policy(min_margin=FULL))
    shop.apply(plan.plan_id)
    with pytest.raises(AlreadyEnded, match="applied"):
        shop.apply(plan.plan_id)


def test_a_discarded_plan_is_not_applied(shop: Shop) -> None:
    shop.stock(1)
    plan = shop.plan(shop.policy(min_margin=FULL))
    with shop.services.pool.connection() as conn:
        assert not store.discard(conn, store.locked(conn, plan.plan_id))
    with pytest.raises(AlreadyEnded, match="discarded"):
        shop.apply(plan.plan_id)


def test_items_are_filtered(shop: Shop) -> None:
    ids = shop.stock(3)
    shop.write(product(ids[0], cost=Decimal(90), category="toys"), product(ids[1], cost=Decimal(90)))
    plan = shop.plan(shop.policy(min_margin=FULL))
    assert ids_of(shop.items(plan.plan_id, category="toys")) == [ids[0]]


def test_items_of_a_discarded_plan_and_old_plans_are_purged(shop: Shop) -> None:
    shop.stock(1)
    shop.write(product(shop.ids(1)[0], cost=Decimal(90)))
    plan, kept = shop.plan(shop.policy(min_margin=FULL)), shop.plan(shop.policy(min_margin=FULL))
    with shop.services.pool.connection() as conn:
        store.discard(conn, store.locked(conn, plan.plan_id))
        retention.purge(conn, 100, 90)
    assert (shop.items(plan.plan_id), len(shop.items(kept.plan_id))) == ([], 1)
    assert shop.view(plan.plan_id).status == "discarded"
    with shop.services.pool.connection() as conn:
        conn.execute("UPDATE plans SET created_at = created_at - interval '100 days'")
        assert retention.purge(conn, 100, 90)
        assert views.page(conn, 10, None) == []


def test_an_index_bounds_the_search_for_old_plans_and_imports(shop: Shop) -> None:
    queries = [query for query in (*retention.PURGE, *staged_imports.PURGE) if "now()" in query]
    assert len(queries) == 4
    with shop.services.pool.connection() as conn:
        conn.execute("SET LOCAL enable_seqscan = off")
        for query in queries:
            rows = conn.execute(f"EXPLAIN {query}".encode(), {"limit": 1_000, "days": 90})
            assert "Index Cond: (created_at < (now()" in str(rows.fetchall()), query
