"""Most queries take a short way: it gives what the long one gives, in any order of queries for a product."""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from shared.pricing.answer import NotQuoted
from shared.pricing.compiled import BoundSheet, CompiledRulebook, Terms
from shared.pricing.plain import plain_quote
from shared.pricing.query import PriceQuery
from shared.pricing.quote import quote
from shared.pricing.rulebook import Rulebook
from shared.pricing.sheet import PriceSheet
from tests.support.pricing_examples import NOON
from tests.support.pricing_examples import tiers as own_tiers
from tests.support.shop_examples import entry, rulebook, shop_sheet, terms_of, values

WORLD = values({"DE": "1.1"}, {"EUR/USD": "1.17"})


def shop(dice: random.Random) -> tuple[Rulebook, PriceSheet]:
    """A rulebook and a sheet: most queries for it take the short way."""
    lists = [
        {
            "id": f"l{number}",
            "kind": dice.choice(["override", "sale"]),
            "currency": dice.choice([None, "USD", "EUR"]),
            "conditions": dice.choice([[], [{"attribute": "customer_groups", "in": ["a", "b"]}]]),
            "combinable": dice.random() < 0.8,
            "below_floor": "clamp" if dice.random() < 0.8 else "charge",
            "price_decimals": None if dice.random() < 0.8 else 4,
        }
        for number in range(dice.randrange(3))
    ]
    promotions = [
        {
            "id": f"p{number}",
            "percent": dice.choice(["0", "3", "12.5", "30", "100"] if dice.random() < 0.2 else ["3", "12.5"]),
            "of": "price" if dice.random() < 0.9 else "reference",
            "exclusive": dice.random() < 0.1,
            "conditions": dice.choice([[], [{"attribute": "quantity", "gte": 5}]]),
        }
        for number in range(dice.randrange(3))
    ]
    markets = {"DEFAULT": {}, "DE": {"currency": "EUR"}}
    policy = {"convert": True, "membership_rate": "0.05", "stacking": dice.choice(["all", "best"])}
    fee = {} if dice.random() < 0.7 else {"flat_fee": "1.50"}
    tiers = [{"up_to": 4, "unit_price": price(dice)}, {"unit_price": price(dice), **fee}]
    entries = [
        entry(name, price(dice)) if dice.random() < 0.5 else entry(name, tiers=tiers)
        for name in (f"l{number}" for number in range(len(lists)))
    ]
    sheet = shop_sheet(
        entries,
        published_price=Decimal(price(dice)),
        floor=Decimal(dice.choice(["0.00", "0.00", "40.00"])),
        ceiling=dice.choice([None, None, Decimal("90.00")]),
        tiers=dice.choice([(), own_tiers((4, "100.00"), (None, "70.00"))]),
    )
    return rulebook(lists=lists, promotions=promotions, markets=markets, **policy), sheet


def price(dice: random.Random) -> str:
    return f"{dice.randrange(10_000) / 100:.2f}" if dice.random() < 0.95 else "0.00"


def queries(dice: random.Random) -> Iterator[dict[str, Any]]:
    for _ in range(12):
        yield {
            "quantity": dice.choice([1, 5, 30, 2.5]),
            "is_prime_member": dice.random() < 0.5,
            "user_location": dice.choice([None, "DE", "nowhere"]),
            "currency": dice.choice([None, None, "USD", "KWD"]),
            "customer_groups": dice.choice([(), ("a",), ("a", "b"), ("c",)]),
        }


@pytest.mark.parametrize("seed", range(4))
def test_both_ways_give_the_same_in_any_order_of_queries(seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(60):
        book, priced = shop(dice)
        terms = Terms(CompiledRulebook(book, 1), WORLD)
        bound = BoundSheet(terms.rules, priced)
        for query in queries(dice):
            expected = answered(terms, BoundSheet(terms.rules, priced), NOON, query, explain=True)
            assert answered(terms, bound, NOON, query) == expected


def test_more_sets_of_rules_than_are_kept_have_their_own_prices_and_ends() -> None:
    ends = [NOON + timedelta(hours=number) for number in range(1, 7)]
    promotions = [
        {
            "id": f"p{number}",
            "percent": 2**number,
            "until": end.isoformat(),
            "conditions": [{"attribute": "customer_groups", "in": [f"g{number}"]}],
        }
        for number, end in enumerate(ends)
    ]
    terms = terms_of(rulebook(promotions=promotions, lists=[{"id": "l", "kind": "override"}], stacking="all"))
    bound = BoundSheet(terms.rules, shop_sheet([entry("l", "50")]))
    sets = [tuple(f"g{number}" for number in range(6) if bits >> number & 1) for bits in range(64)]
    for _ in range(2):
        for groups in sets:
            query = {"customer_groups": groups}
            fresh = answered(terms, BoundSheet(terms.rules, bound.sheet), NOON, query, explain=True)
            assert answered(terms, bound, NOON, query) == fresh


def test_a_list_with_tiers_a_sale_and_promotions_take_the_short_way() -> None:
    lists = [{"id": "l", "kind": "override"}, {"id": "s", "kind": "sale"}]
    terms = terms_of(rulebook(lists=lists, promotions=[{"id": "p", "percent": 10}]))
    tiers = [{"up_to": 9, "unit_price": "60"}, {"unit_price": "50"}]
    bound = BoundSheet(terms.rules, shop_sheet([entry("l", tiers=tiers), entry("s", "55")]))
    for quantity, list_id, amount in ((1, "s", "49.50"), (10, "l", "45.00")):
        query = PriceQuery(product_id="P-1", quantity=quantity)
        here = bound.in_market(terms, terms.default, "USD", NOON)
        found = plain_quote(bound, query, here, bound.fitting(query, NOON))
        assert found is not None
        assert (found.price_list, str(found.final_price), found.promotions) == (list_id, amount, ("p",))


def answered(
    terms: Terms, bound: BoundSheet, at: datetime, query: dict[str, Any], explain: bool = False
) -> dict[str, Any] | str:
    asked = PriceQuery(product_id="P-1", **query)
    try:
        found = quote(terms, bound, asked, at, explain=explain)
    except NotQuoted as error:
        return repr(error)
    return msgspec.to_builtins(msgspec.structs.replace(found, steps=None, rejected=None))  # type: ignore[no-any-return]
