"""A product with a bad field gets a problem document that names it, and is not written."""

from uuid import uuid4

import pytest

from tests.e2e.bad_input.problem_documents import EVENTS, each_bad, problem, product
from tests.support.engine import Engine

NO_AMOUNTS = ("1.001", 1.005, "-1", "NaN", "Infinity", "1e999999", "1000000000000", "cheap", "", None, True)
BAD = {
    "base_price": NO_AMOUNTS,
    "currency": ("XXX",),
    "name": ("", "a\0b", "x" * 201),
    "category": ("", "a\0b"),
    "cost": ("-1",),
    "stock": (-1, 1.5, 10**30),
    "tiers": ("cheap", [{"up_to": n, "unit_price": "1"} for n in range(1, 22)]),
    "product_id": ("another",),
    "colour": ("red",),
}
LAST = {"up_to": None, "unit_price": "1"}
BAD_TIERS = [
    ([{"up_to": 5, "unit_price": "1"}], "[0].up_to"),
    ([{"up_to": 0, "unit_price": "1"}, LAST], "[0].up_to"),
    ([{"up_to": 10**30, "unit_price": "1"}, LAST], "[0].up_to"),
    ([{"up_to": 5, "unit_price": "1"}, {"up_to": 5, "unit_price": "1"}, LAST], "[1].up_to"),
    ([LAST | {"unit_price": "1.001"}], "[0].unit_price"),
    ([LAST | {"colour": 1}], "[0].colour"),
    ([{"up_to": None}], "[0]"),
]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        *each_bad(BAD),
        *(({"tiers": tiers}, f"$.tiers{path}") for tiers, path in BAD_TIERS),
        ({"currency": "JPY", "base_price": "1.5"}, "$.base_price"),
        ({"min_price": "2", "max_price": "1"}, "$.min_price"),
    ],
)
def test_a_product_with_a_wrong_field_is_refused_and_nothing_of_it_is_written(
    engine: Engine, fields: dict[str, object], path: str
) -> None:
    product_id = f"T-{uuid4().hex[:12]}"
    url = f"/api/v1/products/{product_id}"
    problem(engine.http.put(url, json=product(product_id) | fields, headers=engine.authorized), 422, path)
    problem(engine.http.get(url), 404)


@pytest.mark.parametrize("text", ["1_0", " 1", "1e2", "+1", ".5", "١"])
def test_an_amount_is_digits_and_a_point_and_nothing_else_that_python_reads(engine: Engine, text: str) -> None:
    body = product("strict") | {"base_price": text}
    problem(engine.http.put("/api/v1/products/strict", json=body, headers=engine.authorized), 422, "$.base_price")
    tiers = [{"up_to": None, "unit_price": text}]
    body = product("strict") | {"tiers": tiers}
    path = "$.tiers[0].unit_price"
    problem(engine.http.put("/api/v1/products/strict", json=body, headers=engine.authorized), 422, path)
    competitor = {"product_id": "P-100", "competitor": "acme", "price": text, "currency": "USD"}
    event = {"type": "competitor_price_changed", "data": competitor}
    problem(engine.http.post(EVENTS, json=event, headers=engine.authorized), 422, "$.data.price")


def test_a_strategy_that_the_policy_does_not_know_is_refused_with_those_it_knows(engine: Engine) -> None:
    body = product("strict") | {"strategy": "mtach"}
    answer = engine.http.put("/api/v1/products/strict", json=body, headers=engine.authorized)
    assert "match" in problem(answer, 422, "$.strategy")["detail"]
