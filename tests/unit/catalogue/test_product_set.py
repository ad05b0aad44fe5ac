"""Scopes as sets of products: when one holds another, and what two hold together."""

from hypothesis import given
from hypothesis import strategies as st

from shared.catalogue.product_set import Scope
from shared.market_events.events import RecalculationRequested
from tests.support.pricing_examples import PROPERTY

EVERYTHING = Scope()
names = st.lists(st.sampled_from("abcd"), max_size=4).map(tuple)
scopes = st.builds(Scope, product_ids=names, categories=names)


@given(scopes)
@PROPERTY
def test_a_scope_covers_itself_and_everything_covers_it(scope: Scope) -> None:
    assert scope.covers(scope)
    assert EVERYTHING.covers(scope)


@given(scopes)
@PROPERTY
def test_only_everything_covers_everything(scope: Scope) -> None:
    assert scope.covers(EVERYTHING) is scope.is_everything


@given(scopes, scopes)
@PROPERTY
def test_a_union_covers_both(one: Scope, other: Scope) -> None:
    union = one.union(other)
    assert union.covers(one)
    assert union.covers(other)


@given(scopes, scopes, scopes)
@PROPERTY
def test_what_covers_both_covers_their_union(one: Scope, other: Scope, third: Scope) -> None:
    if third.covers(one) and third.covers(other):
        assert third.covers(one.union(other))


@given(scopes, scopes, scopes)
@PROPERTY
def test_covering_is_transitive(one: Scope, other: Scope, third: Scope) -> None:
    larger, largest = one.union(other), one.union(other).union(third)
    assert largest.covers(one)
    if third.covers(larger) and larger.covers(one):
        assert third.covers(one)


@given(scopes, scopes, scopes)
@PROPERTY
def test_the_order_of_unions_does_not_matter(one: Scope, other: Scope, third: Scope) -> None:
    assert one.union(other) == other.union(one)
    assert one.union(other).union(third) == one.union(other.union(third))


@given(scopes)
@PROPERTY
def test_a_union_with_everything_is_everything(scope: Scope) -> None:
    assert scope.union(EVERYTHING) == EVERYTHING


def test_products_by_id_do_not_cover_a_category_that_may_hold_others() -> None:
    assert not Scope(product_ids=("a", "b")).covers(Scope(categories=("grocery",)))
    assert not Scope(categories=("grocery",)).covers(Scope(product_ids=("a",)))


def test_a_request_says_its_scope() -> None:
    assert Scope.of(RecalculationRequested()) == EVERYTHING
    assert Scope.of(RecalculationRequested(product_ids=("a", "b"))) == Scope(product_ids=("a", "b"))
    assert Scope.of(RecalculationRequested(category="grocery")) == Scope(categories=("grocery",))
