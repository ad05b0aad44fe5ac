"""A query with a bad field gets a problem document that names the first wrong field."""

import json

import pytest

from tests.e2e.bad_input.problem_documents import PRICE, PRICES, each_bad, problem, send
from tests.support.engine import Engine

BAD = {
    "product_id": (5, None, "", " P", "P ", "P\u2028", "x" * 129, "P-100\0", "P-100\n"),
    "quantity": (0, -1, 1.5, 1e9, 1_000_001, 10**30, "3", "NaN", True, None, [1]),
    "currency": ("XXX", "usd", "US", "USD\n", 840),
    "user_location": ("", "x" * 65, ["NY"]),
    "is_prime_member": ("true", 1, None),
    "colour": ("red",),
}


@pytest.mark.parametrize(("fields", "path"), each_bad(BAD))
def test_a_query_with_a_wrong_field_is_refused_with_its_path(
    engine: Engine, fields: dict[str, object], path: str
) -> None:
    problem(engine.http.post(PRICE, json={"product_id": "P-100", **fields}), 422, path)
    items = [{"product_id": "P-100"}, {"product_id": "P-100", **fields}]
    good, bad = engine.http.post(PRICES, json={"items": items}).json()["items"]
    assert good["price"]["product_id"] == "P-100"
    assert (bad["error"]["status"], bad["error"]["path"]) == (422, path)


def test_a_query_without_its_product_is_refused(engine: Engine) -> None:
    assert "product_id" in problem(engine.http.post(PRICE, json={"quantity": 1}), 422, "$")["detail"]


def test_a_currency_that_the_product_lacks_is_refused(engine: Engine) -> None:
    found = problem(engine.http.post(PRICE, json={"product_id": "P-100", "currency": "KWD"}), 422, "$.currency")
    assert found["type"] == "urn:pricing:no-price"


@pytest.mark.parametrize("count", [0, 501])
def test_several_queries_are_one_to_five_hundred(engine: Engine, count: int) -> None:
    problem(engine.http.post(PRICES, json={"items": [{"product_id": "P-100"}] * count}), 422, "$.items")


def test_five_hundred_queries_are_answered(engine: Engine) -> None:
    response = engine.http.post(PRICES, json={"items": [{"product_id": "P-100"}] * 500})
    assert response.status_code == 200
    assert len(response.json()["items"]) == 500


def test_a_query_that_has_no_price_has_an_error_of_its_own_among_several(engine: Engine) -> None:
    items = [{"product_id": "P-100"}, {"product_id": "nobody"}, {"product_id": "P-100", "currency": "KWD"}]
    response = engine.http.post(PRICES, json={"items": items})
    assert response.status_code == 200
    priced, unknown, no_price = response.json()["items"]
    assert "error" not in priced
    assert priced["price"]["product_id"] == "P-100"
    assert (unknown["error"]["status"], no_price["error"]["status"]) == (404, 422)
    assert unknown["error"]["trace_id"] == response.headers["traceresponse"].split("-")[1]
    assert no_price["error"]["path"] == "$.currency"


def test_an_unknown_product_has_no_price(engine: Engine) -> None:
    problem(engine.http.post(PRICE, json={"product_id": "nobody"}), 404)


def test_of_keys_that_stand_twice_the_last_one_counts(engine: Engine) -> None:
    response = send(engine, PRICE, b'{"product_id": "nobody", "product_id": "P-100", "quantity": 1, "quantity": 2}')
    assert response.status_code == 200
    assert (response.json()["product_id"], response.json()["quantity"]) == ("P-100", 2)


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "application/x-www-form-urlencoded"},
        {"accept": "text/html, */*;q=0.1"},
        {"traceparent": "nonsense"},
        {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-zz", "tracestate": "=,=;"},
        {"x-padding": "x" * 8000},
    ],
)
def test_odd_headers_change_nothing(engine: Engine, headers: dict[str, str]) -> None:
    response = engine.http.post(PRICE, content=json.dumps({"product_id": "P-100"}), headers=headers)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("application/json")
