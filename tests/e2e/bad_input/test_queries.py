"""A query with a bad field gets a problem document that names the first wrong field."""

import json

import pytest

from tests.e2e.bad_input.problem_documents import PRICE, PRICES, problem, send
from tests.support.engine import Engine


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"product_id": 5}, "$.product_id"),
        ({"product_id": None}, "$.product_id"),
        ({"product_id": ""}, "$.product_id"),
        ({"product_id": "P 100"}, "$.product_id"),
        ({"product_id": "P/100"}, "$.product_id"),
        ({"product_id": "é"}, "$.product_id"),
        ({"product_id": "😀"}, "$.product_id"),
        ({"product_id": "x" * 65}, "$.product_id"),
        ({"product_id": "P-100\0"}, "$.product_id"),
        ({"product_id": "P-100\n"}, "$.product_id"),
        ({"quantity": 0}, "$.quantity"),
        ({"quantity": -1}, "$.quantity"),
        ({"quantity": 1.5}, "$.quantity"),
        ({"quantity": 1e9}, "$.quantity"),
        ({"quantity": 1_000_001}, "$.quantity"),
        ({"quantity": 10**30}, "$.quantity"),
        ({"quantity": "3"}, "$.quantity"),
        ({"quantity": "NaN"}, "$.quantity"),
        ({"quantity": True}, "$.quantity"),
        ({"quantity": None}, "$.quantity"),
        ({"quantity": [1]}, "$.quantity"),
        ({"currency": "XXX"}, "$.currency"),
        ({"currency": "usd"}, "$.currency"),
        ({"currency": "US"}, "$.currency"),
        ({"currency": "USD\n"}, "$.currency"),
        ({"currency": 840}, "$.currency"),
        ({"user_location": ""}, "$.user_location"),
        ({"user_location": "x" * 65}, "$.user_location"),
        ({"user_location": ["NY"]}, "$.user_location"),
        ({"is_prime_member": "true"}, "$.is_prime_member"),
        ({"is_prime_member": 1}, "$.is_prime_member"),
        ({"is_prime_member": None}, "$.is_prime_member"),
        ({"colour": "red"}, "$.colour"),
    ],
)
def test_a_query_with_a_wrong_field_is_refused_with_its_path(
    engine: Engine, fields: dict[str, object], path: str
) -> None:
    problem(engine.http.post(PRICE, json={"product_id": "P-100", **fields}), 422, path)
    items = [{"product_id": "P-100"}, {"product_id": "P-100", **fields}]
    problem(engine.http.post(PRICES, json={"items": items}), 422, path.replace("$", "$.items[1]"))


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
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "application/msgpack"},
        {"content-type": "nonsense"},
        {"accept": "text/html"},
        {"traceparent": "nonsense"},
        {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-zz", "tracestate": "=,=;"},
        {"x-padding": "x" * 8000},
    ],
)
def test_odd_headers_change_nothing(engine: Engine, headers: dict[str, str]) -> None:
    response = engine.http.post(PRICE, content=json.dumps({"product_id": "P-100"}), headers=headers)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("application/json")
