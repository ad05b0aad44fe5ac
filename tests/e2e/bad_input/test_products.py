"""A product with a bad field gets a problem document that names it, and is not written."""

from uuid import uuid4

import pytest

from tests.e2e.bad_input.problem_documents import EVENTS, problem, product
from tests.support.engine import Engine


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"base_price": "1.001"}, "$.base_price"),
        ({"base_price": 1.005}, "$.base_price"),
        ({"base_price": "-1"}, "$.base_price"),
        ({"base_price": "NaN"}, "$.base_price"),
        ({"base_price": "Infinity"}, "$.base_price"),
        ({"base_price": "1e999999"}, "$.base_price"),
        ({"base_price": "1000000000000"}, "$.base_price"),
        ({"base_price": "cheap"}, "$.base_price"),
        ({"base_price": ""}, "$.base_price"),
        ({"base_price": None}, "$.base_price"),
        ({"base_price": True}, "$.base_price"),
        ({"currency": "JPY", "base_price": "1.5"}, "$.base_price"),
        ({"currency": "XXX"}, "$.currency"),
        ({"name": ""}, "$.name"),
        ({"name": "a\0b"}, "$.name"),
        ({"name": "x" * 201}, "$.name"),
        ({"category": ""}, "$.category"),
        ({"category": "a\0b"}, "$.category"),
        ({"cost": "-1"}, "$.cost"),
        ({"stock": -1}, "$.stock"),
        ({"stock": 1.5}, "$.stock"),
        ({"stock": 10**30}, "$.stock"),
        ({"min_price": "2", "max_price": "1"}, "$.min_price"),
        ({"tiers": "cheap"}, "$.tiers"),
        ({"tiers": [{"up_to": 5, "unit_price": "1"}]}, "$.tiers[0].up_to"),
        ({"tiers": [{"up_to": 0, "unit_price": "1"}, {"up_to": None, "unit_price": "1"}]}, "$.tiers[0].up_to"),
        ({"tiers": [{"up_to": 10**30, "unit_price": "1"}, {"up_to": None, "unit_price": "1"}]}, "$.tiers[0].up_to"),
        (
            {"tiers": [{"up_to": n, "unit_price": "1"} for n in (5, 5, None)]},
            "$.tiers[1].up_to",
        ),
        ({"tiers": [{"up_to": None, "unit_price": "1.001"}]}, "$.tiers[0].unit_price"),
        ({"tiers": [{"up_to": None, "unit_price": "1", "colour": 1}]}, "$.tiers[0].colour"),
        ({"tiers": [{"up_to": None}]}, "$.tiers[0]"),
        ({"tiers": [{"up_to": n, "unit_price": "1"} for n in range(1, 22)]}, "$.tiers"),
        ({"product_id": "another"}, "$.product_id"),
        ({"colour": "red"}, "$.colour"),
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
