"""Which products are decided anew: after a change of the rulebook, and at an edge of a window."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from shared.catalogue.product_set import ProductSet
from shared.pricing.rulebook import Rulebook
from shared.rulebook import reductions
from tests.support.pricing_examples import NOON
from tests.support.shop_examples import rulebook

TV = {"id": "tv", "percent": "10", "applies_to": {"categories": ["tv"]}}
RADIO = {"id": "radio", "percent": "10", "applies_to": {"products": ["P-1"]}}
B2B = {"conditions": [{"attribute": "customer_groups", "in": ["b2b"]}]}
SALE = {"id": "sale", "kind": "sale"}
EVERYTHING = ProductSet()


def changed(before: Rulebook, after: Rulebook) -> ProductSet | None:
    return reductions.changed(before, after, NOON)


def test_a_promotion_concerns_its_products_when_it_comes_changes_and_goes() -> None:
    none, tv, both = rulebook(), rulebook(promotions=[TV]), rulebook(promotions=[TV, RADIO])
    assert changed(none, none) is None
    assert changed(none, tv) == changed(tv, none) == ProductSet(categories=("tv",))
    assert changed(tv, both) == ProductSet(("P-1",))
    assert changed(none, both) == ProductSet(("P-1",), ("tv",))
    assert changed(tv, rulebook(promotions=[TV | {"percent": "20"}])) == ProductSet(categories=("tv",))
    assert changed(none, rulebook(promotions=[TV | {"applies_to": {"brands": ["Acme"]}}])) == EVERYTHING


def test_what_is_not_for_everybody_or_not_open_concerns_nobody() -> None:
    none = rulebook()
    assert changed(none, rulebook(promotions=[TV | B2B])) is None
    assert changed(none, rulebook(promotions=[TV | {"from": "2026-03-02T00:00:00"}])) is None
    assert changed(none, rulebook(promotions=[TV | {"until": "2026-03-01T00:00:00"}])) is None
    assert changed(none, rulebook(lists=[{"id": "wholesale", "kind": "override"}])) is None
    here = {"conditions": [{"attribute": "user_location", "eq": "de"}]}
    assert changed(none, rulebook(promotions=[TV | here])) is None
    assert changed(none, rulebook(promotions=[TV | here], markets={"DEFAULT": {}, "DE": {}})) is not None


def test_markets_and_the_policy_concern_everything_where_there_are_reductions() -> None:
    tv: dict[str, Any] = {"promotions": [TV]}
    longer = {"DEFAULT": {"lowest_price_days": 60}}
    assert changed(rulebook(), rulebook(markets=longer)) is None
    assert changed(rulebook(**tv), rulebook(**tv, markets=longer)) == EVERYTHING
    assert changed(rulebook(**tv), rulebook(**tv, stacking="best")) == EVERYTHING
    assert changed(rulebook(), rulebook(max_over_list="2")) == EVERYTHING


def test_edges_are_the_instants_of_public_windows() -> None:
    def at(text: str) -> datetime:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)

    march = {"from": "2026-03-01T00:00:00", "until": "2026-04-01T00:00:00"}
    book = rulebook(promotions=[TV | march, RADIO | march | {"until": "2026-03-15T00:00:00"}])
    first, last = at("2026-03-01"), at("2026-04-01")
    assert edges(book, first, last) == {
        at("2026-03-15"): ProductSet(("P-1",)),
        last: ProductSet(categories=("tv",)),
    }
    assert list(edges(book, at("2026-02-01"), first)) == [first]
    assert edges(rulebook(promotions=[TV | B2B | march]), at("2026-01-01"), last) == {}
    begins = at("2026-02-01"), first
    assert edges(rulebook(lists=[SALE | march]), *begins) == {}
    assert edges(rulebook(lists=[SALE | march]), *begins, ["P-1", "P-2"]) == {first: ProductSet(("P-1", "P-2"))}
    assert edges(rulebook(lists=[SALE | march]), *begins, None) == {first: EVERYTHING}
    adjusted = SALE | march | {"adjustment": {"percent": "10", "applies_to": {"categories": ["tv"]}}}
    assert edges(rulebook(lists=[adjusted]), *begins, ["P-1"]) == {first: ProductSet(("P-1",), ("tv",))}
    assert edges(rulebook(lists=[SALE | march | {"adjustment": {"percent": "10"}}]), *begins) == {first: EVERYTHING}


def edges(
    book: Rulebook, since: datetime, until: datetime, entries: Sequence[str] | None = ()
) -> dict[datetime, ProductSet]:
    return reductions.edges(book, since, until, lambda _, __: entries)


def test_entries_of_a_sale_list_may_reduce() -> None:
    wholesale = {"id": "wholesale", "kind": "override"}
    book = rulebook(lists=[SALE, SALE | B2B | {"id": "staff"}])
    assert reductions.is_reducing(book, "sale")
    assert not reductions.is_reducing(book, "staff")
    assert not reductions.is_reducing(rulebook(lists=[wholesale]), "wholesale")
    assert reductions.is_reducing(rulebook(lists=[wholesale], promotions=[TV]), "wholesale")
    assert reductions.has_any(book)
    assert not reductions.has_any(rulebook(lists=[wholesale]))
