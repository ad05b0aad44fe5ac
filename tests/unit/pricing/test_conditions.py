from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.pricing.conditions import Condition, keys, predicate, specificity
from shared.pricing.query import PriceQuery
from tests.support.pricing_examples import PROPERTY


def fits(condition: dict[str, Any], **fields: Any) -> bool:
    return predicate(msgspec.convert(condition, Condition))(PriceQuery(product_id="P-1", **fields))


@pytest.mark.parametrize(
    ("condition", "fields", "expected"),
    [
        ({"attribute": "channel", "eq": "app"}, {"channel": "app"}, True),
        ({"attribute": "channel", "eq": "app"}, {"channel": "web"}, False),
        ({"attribute": "channel", "in": ["app", "web"]}, {"channel": "web"}, True),
        ({"attribute": "channel", "not_in": ["app"]}, {"channel": "web"}, True),
        ({"attribute": "channel", "not_in": ["app"]}, {"channel": "app"}, False),
        ({"attribute": "user_location", "eq": "ny"}, {"user_location": " NY "}, True),
        ({"attribute": "is_prime_member", "eq": True}, {"is_prime_member": True}, True),
        ({"attribute": "is_prime_member", "eq": False}, {}, True),
        ({"attribute": "quantity", "gte": 10}, {"quantity": 10}, True),
        ({"attribute": "quantity", "gt": 10}, {"quantity": 10}, False),
        ({"attribute": "quantity", "lt": "10.5"}, {"quantity": Decimal("10.499")}, True),
        ({"attribute": "quantity", "lte": 10}, {"quantity": 11}, False),
        ({"attribute": "quantity", "gte": 10, "lt": 20}, {"quantity": 15}, True),
        ({"attribute": "quantity", "gte": 10, "lt": 20}, {"quantity": 20}, False),
        ({"attribute": "attributes.weight", "gt": 3}, {"attributes": {"weight": Decimal("3.1")}}, True),
        ({"attribute": "attributes.weight", "gt": 3}, {"attributes": {"weight": "4"}}, False),
        ({"attribute": "attributes.new", "eq": True}, {"attributes": {"new": 1}}, False),
        ({"attribute": "attributes.level", "eq": 1}, {"attributes": {"level": Decimal("1.0")}}, True),
        ({"attribute": "attributes.level", "gte": 0}, {"attributes": {"level": True}}, False),
    ],
)
def test_an_operator_compares_the_querys_value(
    condition: dict[str, Any], fields: dict[str, Any], expected: bool
) -> None:
    assert fits(condition, **fields) is expected


def test_a_list_fits_if_any_of_its_values_does() -> None:
    wanted = {"attribute": "customer_groups", "in": ["b2b"]}
    assert fits(wanted, customer_groups=("vip", "b2b"))
    assert not fits(wanted, customer_groups=("vip",))
    assert fits({"attribute": "attributes.tags", "eq": "a"}, attributes={"tags": ("b", "a")})


def test_an_excluded_value_excludes_the_whole_list() -> None:
    assert not fits({"attribute": "customer_groups", "not_in": ["blocked"]}, customer_groups=("vip", "blocked"))


@pytest.mark.parametrize(
    ("operator", "expected"),
    [({"eq": "a"}, False), ({"in": ["a"]}, False), ({"not_in": ["a"]}, True), ({"gt": 0}, False), ({"lte": 9}, False)],
)
def test_an_attribute_that_the_query_lacks_fits_not_in_only(operator: dict[str, Any], expected: bool) -> None:
    assert fits({"attribute": "attributes.size", **operator}) is expected


@pytest.mark.parametrize(
    ("condition", "field"),
    [
        ({"attribute": "color", "eq": "red"}, "attribute"),
        ({"attribute": "attributes.", "eq": "red"}, "attribute"),
        ({"attribute": "channel"}, "attribute"),
        ({"attribute": "channel", "gt": 1}, "gt"),
        ({"attribute": "is_prime_member", "eq": 1}, "eq"),
        ({"attribute": "quantity", "in": ["9"]}, "in"),
        ({"attribute": "quantity", "eq": True}, "eq"),
        ({"attribute": "quantity", "lt": "NaN"}, "lt"),
        ({"attribute": "channel", "in": []}, "in"),
        ({"attribute": "channel", "not_in": [1]}, "not_in"),
        ({"attribute": "attributes.a", "eq": {"deep": 1}}, "eq"),
    ],
)
def test_a_wrong_condition_is_refused_with_the_fields_name(condition: dict[str, Any], field: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=rf"^`{field}` must "):
        msgspec.convert(condition, Condition)


def test_an_unknown_operator_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="like"):
        msgspec.convert({"attribute": "channel", "like": "a"}, Condition)


def test_distinct_attributes_are_counted_once() -> None:
    rows = [{"attribute": "quantity", "gt": 1}, {"attribute": "quantity", "lt": 9}, {"attribute": "channel", "eq": "a"}]
    assert specificity(msgspec.convert(rows, list[Condition])) == 2


VALUES = st.sampled_from(["a", "b", "c", True, 1, Decimal("2.5")])


@PROPERTY
@given(
    st.lists(VALUES, min_size=1), st.lists(VALUES, min_size=1), st.none() | VALUES | st.lists(st.sampled_from("abc"))
)
def test_a_fit_has_one_of_the_keys_and_more_operators_never_widen(named: Any, excluded: Any, value: Any) -> None:
    one = {"attribute": "attributes.x", "in": named}
    both = {**one, "not_in": excluded}
    given_ = {} if value is None else {"x": tuple(value) if isinstance(value, list) else value}
    assert fits(one, attributes=given_) >= fits(both, attributes=given_)
    if fits(one, attributes=given_):
        known = keys(msgspec.convert(one, Condition))
        assert known
