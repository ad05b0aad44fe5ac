"""The plan is the publication: the prices after an application are the plan's, price by price, holds included."""

from decimal import Decimal
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.catalogue_examples import product
from tests.integration.plans.shop import Shop

PRODUCTS = 60


def shares(low: str, high: str) -> st.SearchStrategy[Decimal]:
    return st.decimals(Decimal(low), Decimal(high), places=2)


policies = st.fixed_dictionaries(
    {},
    optional={
        "min_margin": shares("0", "0.60"),
        "max_over_list": shares("1", "2"),
        "max_step": st.none() | shares("0.01", "0.5"),
        "hold_above": st.none() | shares("0.01", "0.5"),
        "below_cost": st.sampled_from(["clamp", "hold", "allow"]),
        "automation": st.sampled_from(["on", "observe"]),
        "categories": st.sampled_from([{"electronics": "undercut"}, {"toys": "match"}, {}]),
        "default_strategy": st.sampled_from(["list_price", "match", "undercut"]),
    },
)


def furnish(shop: Shop, seed: int) -> None:
    """Products of several kinds, some with holds and some on their way, by their seed."""
    random = Random(seed)
    ids = shop.ids(PRODUCTS)
    facts: list[dict[str, Any]] = [{}, {"cost": Decimal(90)}, {"category": "toys"}, {"max_price": Decimal(97)}]
    shop.write(*(product(product_id, **random.choice(facts)) for product_id in ids))
    shop.offer({product_id: f"{random.randint(60, 140)}.00" for product_id in ids if random.random() < 0.8})


@given(fields=policies, seed=st.integers(0, 1000))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_prices_after_an_application_are_those_of_the_plan(shop: Shop, fields: dict[str, Any], seed: int) -> None:
    furnish(shop, seed)
    before = shop.sheets()
    plan = shop.plan(shop.policy(**fields))
    assert shop.sheets() == before
    planned = shop.planned(plan.plan_id)
    applied = shop.apply(plan.plan_id)
    assert (applied.status, applied.redecided) == ("applied", 0)
    assert shop.prices() == planned
