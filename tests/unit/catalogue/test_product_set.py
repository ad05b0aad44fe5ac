"""Scopes as sets of products: when one holds another, and what two hold together."""

from hypothesis import given
from hypothesis import strategies as st

from shared.catalogue.product_set import ProductSet
from shared.market_events.events import RecalculationRequested
from tests.support.pricing_examples import PROPERTY

EVERYTHING = ProductSet()
names = st.lists(st.sampled_from("abcd"), max_size=4).map(tuple)
product_sets = st.builds(ProductSet, product_ids=names, categories=names)


@given(product_sets)
@PROPERTY
def test_a_scope_covers_itself_and_everything_covers_it(product_set: ProductSet) -> None:
    assert product_set.covers(product_set)
    assert EVERYTHING.covers(product_set)


@given(product_sets)
@PROPERTY
def test_only_everything_covers_everything(product_set: ProductSet) -> None:
    assert product_set.covers(EVERYTHING) is product_set.is_everything


@given(product_sets, product_sets)
@PROPERTY
def test_a_union_covers_both(one: ProductSet, other: ProductSet) -> None:
    union = one.union(other)
    assert union.covers(one)
    assert union.covers(other)


@given(product_sets, product_sets, product_sets)
@PROPERTY
def test_what_covers_both_covers_their_union(one: ProductSet, other: ProductSet, third: ProductSet) -> None:
    if third.covers(one) and third.covers(other):
        assert third.covers(one.union(other))


@given(product_sets, product_sets, product_sets)
@PROPERTY
def test_covering_is_transitive(one: ProductSet, other: ProductSet, third: ProductSet) -> None:
    larger, largest = one.union(other), one.union(other).union(third)
    assert largest.covers(one)
    if third.covers(larger) and larger.covers(one):
        assert third.covers(one)


@given(product_sets, product_sets, product_sets)
@PROPERTY
def test_the_order_of_unions_does_not_matter(one: ProductSet, other: ProductSet, third: ProductSet) -> None:
    assert one.union(other) == other.union(one)
    assert one.union(other).union(third) == one.union(other.union(third))


@given(product_sets)
@PROPERTY
def test_a_union_with_everything_is_everything(product_set: ProductSet) -> None:
    assert product_set.union(EVERYTHING) == EVERYTHING


def test_products_by_id_do_not_cover_a_category_that_may_hold_others() -> None:
    assert not ProductSet(product_ids=("a", "b")).covers(ProductSet(categories=("grocery",)))
    assert not ProductSet(categories=("grocery",)).covers(ProductSet(product_ids=("a",)))


def test_a_request_says_its_scope() -> None:
    assert RecalculationRequested().product_set == EVERYTHING
    assert RecalculationRequested(product_ids=("a", "b")).product_set == ProductSet(product_ids=("a", "b"))
    assert RecalculationRequested(category="grocery").product_set == ProductSet(categories=("grocery",))
