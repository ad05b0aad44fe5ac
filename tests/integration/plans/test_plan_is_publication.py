"""The plan is the publication: the prices after an application are the plan's, price by price, holds included."""

import os
from decimal import Decimal
from random import Random
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.plans.changes import Change, ManualPriceChange, MultiplierChange
from shared.pricing.compiled import BoundSheet, CompiledRulebook, Terms
from shared.pricing.query import PriceQuery
from shared.pricing.quote import quote
from shared.pricing.rulebook import Promotion
from shared.pricing.sheet import PriceSheet
from shared.rulebook import store as rulebook
from shared.rulebook import values
from tests.integration.catalogue_examples import product
from tests.integration.plans.shop import Shop

# `PRICING_TEST_PRODUCTS=100000 just test …` tries ten changes over so many.
MANY = int(os.environ.get("PRICING_TEST_PRODUCTS", "0"))
PRODUCTS = MANY or 60


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


def other_changes(random: Random, ids: list[str]) -> list[Change]:
    """Some changes of other kinds."""
    possible = [
        Change(promotion=Promotion(id="spring", percent=Decimal(random.randint(0, 50)))),
        Change(multiplier=MultiplierChange(market="DEFAULT", multiplier=Decimal(random.randint(5, 20)) / 10)),
        Change(product=product(random.choice(ids), base_price=Decimal(random.randint(50, 150)))),
        Change(manual_price=ManualPriceChange(product_id=random.choice(ids), price=Decimal(77), reason="a test")),
    ]
    return random.sample(possible, random.randint(0, len(possible)))


def public_prices(shop: Shop) -> dict[str, Decimal]:
    """The public prices in the default market, under the rulebook in force."""
    with shop.services.pool.connection() as conn:
        terms = Terms(CompiledRulebook(rulebook.active(conn).rulebook, 1), values.load(conn))
        rows = conn.execute("SELECT product_id, sheet, clock_timestamp() AS at FROM prices").fetchall()
    quoted = {}
    for row in rows:
        bound = BoundSheet(terms.rules, msgspec.json.decode(row["sheet"], type=PriceSheet))
        query = PriceQuery(product_id=row["product_id"])
        quoted[row["product_id"]] = quote(terms, bound, query, row["at"]).final_price
    return quoted


def furnish(shop: Shop, seed: int) -> None:
    """Products of several kinds, some with holds and some on their way, by their seed."""
    random = Random(seed)
    ids = shop.ids(PRODUCTS)
    facts: list[dict[str, Any]] = [{}, {"cost": Decimal(90)}, {"category": "toys"}, {"max_price": Decimal(97)}]
    shop.write(*(product(product_id, **random.choice(facts)) for product_id in ids))
    shop.offer({product_id: f"{random.randint(60, 140)}.00" for product_id in ids if random.random() < 0.8})


@given(fields=policies, seed=st.integers(0, 1000))
@settings(max_examples=10 if MANY else 8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_prices_after_an_application_are_those_of_the_plan(shop: Shop, fields: dict[str, Any], seed: int) -> None:
    furnish(shop, seed)
    state = shop.digest if MANY else shop.sheets
    before, public = state(), public_prices(shop)
    plan = shop.plan(shop.policy(**fields), *other_changes(Random(seed), shop.ids(PRODUCTS)))
    assert state() == before
    planned = shop.planned(plan.plan_id)
    applied = shop.apply(plan.plan_id)
    assert (applied.status, applied.redecided) == ("applied", 0)
    assert shop.prices() == planned
    if (plan.result or {})["public"]["at"] is not None:
        items = shop.items(plan.plan_id, market="DEFAULT")
        assert public_prices(shop) == public | {item.product_id: item.new_price for item in items}
