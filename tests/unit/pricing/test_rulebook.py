from decimal import Decimal
from typing import Any

import msgspec
import pytest

from shared.pricing.policy import DEFAULT_POLICY
from shared.pricing.rulebook import NEUTRAL, MarketRules, Promotion, Rulebook, RulebookPolicy
from shared.pricing.rulebook_check import RulebookRefused, checked, converted, read

POLICY = msgspec.to_builtins(DEFAULT_POLICY)
EXAMPLE: dict[str, Any] = {
    "policy": POLICY,
    "markets": {
        "DE": {
            "currency": "EUR",
            "zone": "Europe/Berlin",
            "show": "gross",
            "keep": "gross",
            "tax_rates": {"standard": "0.19", "reduced": "0.07"},
            "lowest_price_days": 30,
            "lowest_price_mode": "before_reduction",
            "unit_price_per": ["kg", "l"],
            "cash_step": None,
        }
    },
    "price_lists": [
        {
            "id": "wholesale",
            "name": "Wholesale",
            "kind": "override",
            "currency": "EUR",
            "priority": 0,
            "from": None,
            "until": None,
            "conditions": [{"attribute": "customer_groups", "in": ["b2b"]}],
            "combinable": True,
            "ending": False,
            "below_floor": "clamp",
            "adjustment": None,
        }
    ],
    "promotions": [
        {
            "id": "black-friday",
            "name": "Black Friday",
            "priority": 10,
            "exclusive": False,
            "percent": "20",
            "of": "price",
            "applies_to": {"categories": ["audio", "tv"]},
            "conditions": [],
            "from": "2026-11-27T00:00:00",
            "until": "2026-12-01T00:00:00",
            "zone": "Europe/Berlin",
        }
    ],
}


def test_the_documented_rulebook_is_read_and_its_windows_are_instants() -> None:
    book = read(EXAMPLE)
    (promotion,) = book.promotions
    assert (promotion.from_, str(promotion.opens)) == ("2026-11-27T00:00:00", "2026-11-26 23:00:00+00:00")
    assert str(promotion.closes) == "2026-11-30 23:00:00+00:00"


def test_left_out_fields_have_the_documented_values() -> None:
    short = read({"price_lists": [{"id": "wholesale", "kind": "override"}], "markets": {"DE": {}}})
    market = msgspec.json.decode(msgspec.json.encode(short.markets["DE"]))
    shown = EXAMPLE["markets"]["DE"]
    assert market == {**shown, "currency": None, "zone": "UTC", "tax_rates": {}, "progressive": False}
    (header,) = short.price_lists
    assert (header.priority, header.combinable, header.ending, header.below_floor) == (0, True, False, "clamp")
    assert (header.from_, header.until, header.adjustment, header.conditions) == (None, None, None, ())


def test_a_policy_of_today_is_a_valid_part_and_changes_nothing() -> None:
    assert msgspec.convert(POLICY, RulebookPolicy) == NEUTRAL.policy
    assert read({}) == NEUTRAL
    assert list(NEUTRAL.markets) == ["DEFAULT"]


def test_a_stored_rulebook_is_read_back_as_it_was() -> None:
    book = read(EXAMPLE)
    assert msgspec.json.decode(msgspec.json.encode(book), type=Rulebook) == book
    assert checked(book) == book


def test_instants_of_the_caller_are_replaced() -> None:
    promotion = {**EXAMPLE["promotions"][0], "opens": "2020-01-01T00:00:00Z", "closes": None}
    assert read({"promotions": [promotion]}).promotions == read(EXAMPLE).promotions


def a_list(name: str = "a", **fields: Any) -> dict[str, Any]:
    return {"id": name, "kind": "override", **fields}


def of_list(name: str, base: str) -> dict[str, Any]:
    return a_list(name, adjustment={"of": {"list": base}, "percent": 10})


def a_promotion(**fields: Any) -> dict[str, Any]:
    return {"promotions": [{"id": "p", **fields}]}


def with_strategy(rules: dict[str, Any]) -> dict[str, Any]:
    """The shipped policy with one more strategy."""
    return {**POLICY, "strategies": {**POLICY["strategies"], "x": rules}}


CHAIN = [a_list("l0"), *(of_list(f"l{n}", f"l{n - 1}") for n in range(1, 7))]


@pytest.mark.parametrize(
    ("document", "path", "words"),
    [
        ({"price_lists": [a_list(), a_list()]}, "price_lists[1].id", "must be unique"),
        ({"promotions": [{"id": "p", "percent": 1}] * 2}, "promotions[1].id", "must be unique"),
        (a_promotion(percent=1, until="2026-01-01", **{"from": "2026-01-02"}), "promotions[0].until", "after from"),
        ({"price_lists": [a_list(zone="Mars")]}, "price_lists[0].zone", "IANA"),
        ({"price_lists": [a_list(currency="XXX")]}, "price_lists[0].currency", "ISO 4217"),
        ({"price_lists": [a_list(conditions=[{"attribute": "shoe", "eq": 1}])]},
         "price_lists[0].conditions[0].attribute", "must be attributes.NAME"),
        ({"price_lists": [a_list(conditions=[{"attribute": "channel", "near": 1}])]},
         "price_lists[0].conditions[0].near", "one of attribute, eq, in"),
        ({"price_lists": [of_list("a", "b")]}, "price_lists[0].adjustment.of.list", "no list b"),
        ({"price_lists": [of_list("a", "a")]}, "price_lists[0].adjustment.of.list", "a → a"),
        ({"price_lists": [of_list("a", "b"), of_list("b", "a")]}, "price_lists[0].adjustment.of.list", "a → b → a"),
        ({"price_lists": CHAIN}, "price_lists[6].adjustment.of.list", "at most 5 lists"),
        ({"price_lists": [a_list(adjustment={"percent": 1, "amount": 1})]},
         "price_lists[0].adjustment.percent", "beside amount"),
        ({"price_lists": [a_list(adjustment={"min_margin": 2, "max_margin": 1})]},
         "price_lists[0].adjustment.min_margin", "above max_margin"),
        ({"price_lists": [a_list(adjustment={"multiple_of": 0})]}, "price_lists[0].adjustment.multiple_of", "number"),
        ({"price_lists": [a_list(adjustment={"plus": "NaN"})]}, "price_lists[0].adjustment.plus", "number"),
        (a_promotion(), "promotions[0].percent", "must be given"),
        (a_promotion(percent=1, amount=1, currency="EUR"), "promotions[0].percent", "one of the two"),
        (a_promotion(amount=1), "promotions[0].currency", "with amount"),
        (a_promotion(percent=101), "promotions[0].percent", "from 0 to 100"),
        (a_promotion(percent=-1), "promotions[0].percent", "from 0 to 100"),
        (a_promotion(percent=1, applies_to={}), "promotions[0].applies_to.products", "leave applies_to out"),
        ({"markets": {"DE": {"currency": "EURO"}}}, "markets.DE.currency", "ISO 4217"),
        ({"markets": {"DE": {}, "FR": {"show": "both"}}}, "markets.FR.show", "one of gross, net"),
        ({"markets": {"DE": {"tax_rates": {"standard": "0.19", "x": "19"}}}}, "markets.DE.tax_rates.x", "0 to 1"),
        ({"markets": {"DE": {"zone": "Berlin"}}}, "markets.DE.zone", "IANA"),
        ({"markets": {"de": {}, "DE": {}}}, "markets.DE", "by more than case"),
        ({"policy": {**POLICY, "home_market": "AT"}}, "policy.home_market", "no market AT"),
        ({"policy": {**POLICY, "ending": {"multiple_of": 1, "plus": 1}}}, "policy.ending.plus", "smaller"),
        ({"policy": {**POLICY, "stacking": "some"}}, "policy.stacking", "one of all, best"),
        ({"policy": {**POLICY, "strategies": {"list_price": {}, "x": {"demand": {"lowest": 0, "highest": 1}}}}},
         "policy.strategies.x.demand.lowest", "0.01"),
        ({"policy": with_strategy({"demand": {"lowest": 2, "highest": 3}})}, "policy.strategies.x.demand.lowest",
         "not be above max_over_list, 1.5"),
        ({"policy": with_strategy({"competitor": {"lowest": "1.51", "highest": 3}})},
         "policy.strategies.x.competitor.lowest", "every price would be the ceiling"),
        ({"policy": with_strategy({"cost_plus": {"markup": "0.04"}})}, "policy.strategies.x.cost_plus.markup",
         "not be below min_margin, 0.05"),
        ({"promos": []}, "promos", "policy, markets, price_lists, promotions"),
        ([], "", "Expected `object`"),
    ],
)  # fmt: skip
def test_a_wrong_rulebook_is_refused_with_path_and_remedy(document: Any, path: str, words: str) -> None:
    with pytest.raises(RulebookRefused) as caught:
        read(document)
    assert caught.value.path == path
    assert words in caught.value.reason


def test_five_lists_deep_are_allowed() -> None:
    assert len(read({"price_lists": CHAIN[:6]}).price_lists) == 6


def test_a_rulebook_over_a_megabyte_is_refused() -> None:
    promotions = [{"id": f"p{n}", "percent": Decimal(1), "name": "x" * 200} for n in range(3_000)]
    with pytest.raises(RulebookRefused, match="at most 1000000 are allowed"):
        read({"promotions": promotions})


def test_lists_that_all_lead_to_each_other_are_refused() -> None:
    lists = [of_list(f"l{n}", f"l{(n + 1) % 3_000}") for n in range(3_000)]
    with pytest.raises(RulebookRefused, match="at most 5 lists"):
        read({"price_lists": lists})


@pytest.mark.parametrize(
    ("document", "kind", "path"),
    [
        ({"tax_rates": {"standard": "0.19", "x": "19"}}, MarketRules, "tax_rates.x"),
        ({**POLICY, "strategies": {"list_price": {}, "b": {"demand": {"lowest": 1}}}}, RulebookPolicy,
         "strategies.b.demand"),
        ([POLICY, {**POLICY, "strategies": {"list_price": {}, "b": {"stock": {"points": [{"stock": 1}]}}}}],
         tuple[RulebookPolicy, ...], "[1].strategies.b.stock.points[0]"),
        (with_strategy({"competitor": {"lowest": 2, "highest": 3}}), RulebookPolicy, "strategies.x.competitor.lowest"),
        ({**POLICY, "automation": {"toys": "on", "food": "off"}}, RulebookPolicy, "automation.food"),
        ({"markets": {"A.B": {}, "C.D": {"tax_rates": {"x": []}}}}, Rulebook, "markets.C.D.tax_rates.x"),
        ({"id": "p", "percent": 1, "conditions": [{"attribute": "quantity", "eq": Decimal("1E+400")}]}, Promotion,
         "conditions[0].eq"),
        ({"id": "p", "percent": 1, "conditions": [{"attribute": "channel", "eq": "x" * 1001}]}, Promotion,
         "conditions[0].eq"),
    ],
)  # fmt: skip
def test_a_part_by_itself_names_the_key_of_a_map(document: Any, kind: type, path: str) -> None:
    with pytest.raises(RulebookRefused) as caught:
        converted(document, kind)
    assert caught.value.path == path


def test_one_wrong_market_of_many_is_found_by_halving() -> None:
    """Each alone would take a minute."""
    document: dict[str, Any] = {"markets": {f"M{n}": {"zone": 5 if n == 9_000 else "UTC"} for n in range(10_000)}}
    document["price_lists"] = [a_list(f"l{n}") for n in range(3_000)]
    with pytest.raises(RulebookRefused) as caught:
        read(document)
    assert caught.value.path == "markets.M9000.zone"
