"""Bad input gets a problem document that names the first wrong field; nothing of it is an error of the engine's."""

import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.core.result import Ok

from tests.support.engine import Engine

PRICE, PRICES = "/api/v1/price", "/api/v1/prices"
EVENTS, RECALCULATE = "/api/v1/publish-market-event", "/api/v1/recalculate"
NOBODY = str(uuid4())
Operation = APIOperation[Any, Any, Any, Any]
TAKING_ANYTHING = ("getProduct", "live", "ready", "metrics")
TAKING_SHAPES = (
    "getPrice", "getPrices", "publishMarketEvent", "getMarketEvent", "recalculate", "getTask", "putProduct",
    "getPriceHistory",
)  # fmt: skip
GENERATED = [
    *((name, GenerationMode.POSITIVE) for name in (*TAKING_ANYTHING, *TAKING_SHAPES)),
    *((name, GenerationMode.NEGATIVE) for name in TAKING_SHAPES),
]
EXAMPLES = settings(
    max_examples=15,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


@pytest.fixture(autouse=True)
def still_serves(engine: Engine) -> Iterator[None]:
    """Whatever it was sent, the engine goes on pricing."""
    yield
    assert engine.price("P-100")["final_price"]


def problem(response: httpx.Response, status: int, path: str | None = None) -> dict[str, Any]:
    """The problem document that an answer is."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"].partition(";")[0] == "application/problem+json"
    found: dict[str, Any] = response.json()
    assert {"type", "title", "status", "detail", "instance", "trace_id"} <= set(found)
    assert (found["status"], found["title"]) == (status, HTTPStatus(status).phrase)
    assert found["type"].startswith("urn:pricing:")
    if found["instance"].startswith("/api"):  # health, metrics and assets are not traced
        assert response.headers["traceresponse"].split("-")[1] == found["trace_id"] != "0" * 32
    assert found["detail"]
    assert found.get("path") == path
    return found


def send(engine: Engine, url: str, content: bytes) -> httpx.Response:
    headers = engine.authorized | {"content-type": "application/json"}
    return engine.http.post(url, content=content, headers=headers)


def product(product_id: str) -> dict[str, object]:
    return {"product_id": product_id, "name": "Test", "currency": "USD", "base_price": "100.00"}


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


@pytest.mark.parametrize("url", [PRICE, PRICES, EVENTS, RECALCULATE])
@pytest.mark.parametrize("body", [b"{", b" ", b"hello", b"\xff\xfe", b"\xef\xbb\xbf{}", b"{'type': 1}", b"{,}"])
def test_what_is_no_json_is_told_so(engine: Engine, url: str, body: bytes) -> None:
    problem(send(engine, url, body), 400, "$")


@pytest.mark.parametrize(
    "body",
    [
        b'{"product_id": "P-100"}x',
        b'{"product_id": "P-100",}',
        b'{"product_id": "P-100"',
        b'{"product_id": "\xff"}',
        b'{"product_id": "\\ud800"}',
        b'{"product_id": "P-100", "quantity": 01}',
        b'{"product_id": "P-100", "quantity": +1}',
        b'{"product_id": "P-100" /* the lamp */}',
    ],
)
def test_what_begins_as_a_query_and_is_no_json_is_told_so(engine: Engine, body: bytes) -> None:
    problem(send(engine, PRICE, body), 400, "$")


@pytest.mark.parametrize("literal", [b"NaN", b"Infinity", b"-Infinity"])
def test_a_number_that_is_none_is_no_json(engine: Engine, literal: bytes) -> None:
    problem(send(engine, PRICE, b'{"product_id": "P-100", "quantity": ' + literal + b"}"), 400, "$")


@pytest.mark.parametrize("url", [PRICE, PRICES, EVENTS, RECALCULATE])
@pytest.mark.parametrize("body", [b"[]", b"null", b'"text"', b"5", b"true"])
def test_json_of_another_shape_is_refused(engine: Engine, url: str, body: bytes) -> None:
    problem(send(engine, url, body), 422, "$")


@pytest.mark.parametrize("url", [PRICE, PRICES, "/api/v1/products/P-100"])
def test_a_body_that_is_missing_is_told_so(engine: Engine, url: str) -> None:
    method = "PUT" if "products" in url else "POST"
    found = problem(engine.http.request(method, url, headers=engine.authorized), 400, "$")
    assert "body" in found["detail"]


@pytest.mark.parametrize("url", [PRICE, PRICES, EVENTS, RECALCULATE])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_nesting_without_end_is_refused(engine: Engine, url: str, opening: bytes, closing: bytes) -> None:
    deep = opening * 100_000 + b"1" + closing * 100_000
    for body in (deep, b'{"data": {"x": ' + deep + b"}}"):
        response = send(engine, url, body)
        assert response.status_code in {400, 422}, response.text[:500]


@pytest.mark.parametrize("url", [PRICE, EVENTS])
def test_a_body_beyond_the_limit_is_refused(engine: Engine, url: str) -> None:
    refused = send(engine, url, b'{"product_id": "' + b"x" * 2_000_000 + b'"}')
    problem(refused, 413)
    # Its rest is not read: whoever asked on over this connection would find it closed.
    assert refused.headers["connection"] == "close"


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


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("GET", "/api/v1/products/nobody"),
        ("GET", "/api/v1/products/nobody/price-history"),
        ("GET", "/api/v1/market-events/nobody"),
        ("GET", "/api/v1/market-events/nobody?source=nobody"),
        ("GET", f"/api/v1/tasks/{NOBODY}"),
        ("DELETE", f"/api/v1/tasks/{NOBODY}"),
        ("GET", "/api/v1/tasks/no-uuid"),
        ("DELETE", "/api/v1/tasks/no-uuid"),
        ("GET", "/nowhere"),
        ("GET", "/api/v1"),
        ("GET", "/api/v1/products/a%2Fb/price-history/c"),
        ("PUT", "/api/v1/products/a%2Fb"),
        ("GET", "/assets/swagger-ui/nothing.js"),
        ("GET", "/assets/swagger-ui/..%2f..%2f__init__.py"),
    ],
)
def test_what_does_not_exist_is_not_found(engine: Engine, method: str, url: str) -> None:
    problem(engine.http.request(method, url, headers=engine.authorized), 404)


def test_an_unknown_product_has_no_price(engine: Engine) -> None:
    problem(engine.http.post(PRICE, json={"product_id": "nobody"}), 404)


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("GET", PRICE),
        ("PUT", PRICES),
        ("DELETE", "/api/v1/products/P-100"),
        ("PATCH", RECALCULATE),
        ("POST", "/metrics"),
    ],
)
def test_a_wrong_method_is_refused(engine: Engine, method: str, url: str) -> None:
    problem(engine.http.request(method, url, headers=engine.authorized), 405)


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("POST", EVENTS),
        ("POST", RECALCULATE),
        ("PUT", "/api/v1/products/P-100"),
        ("DELETE", f"/api/v1/tasks/{NOBODY}"),
    ],
)
@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer wrong", "Basic d3Jvbmc6d3Jvbmc=", "wrong", "Bearer a b", "Bearer é", "Bearer %00"],
)  # fmt: skip
def test_a_write_without_a_known_key_is_refused(engine: Engine, method: str, url: str, header: str | None) -> None:
    headers = {} if header is None else {"authorization": header.encode()}
    before = engine.sql("SELECT count(*) AS n FROM tasks")
    response = engine.http.request(method, url, json={}, headers=httpx.Headers(headers))  # type: ignore[arg-type] # bytes pass
    problem(response, 401)
    assert response.headers["www-authenticate"] == "Bearer"
    assert engine.key not in response.text
    assert engine.sql("SELECT count(*) AS n FROM tasks") == before


def test_a_write_without_a_key_says_nothing_of_its_body(engine: Engine) -> None:
    problem(engine.http.post(EVENTS, content=b"{"), 401)


def test_what_has_ended_cannot_be_aborted(engine: Engine) -> None:
    task_id = engine.recalculate(product_ids=["P-100"])
    engine.ended(task_id)
    problem(engine.http.delete(f"/api/v1/tasks/{task_id}", headers=engine.authorized), 409)


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


@pytest.mark.parametrize("product_id", ["é", "😀", "a b", "-a", ".", "x" * 65, "a\0b", "a\n", "%"])
def test_an_id_with_odd_characters_is_refused_as_a_path_as_in_a_body(engine: Engine, product_id: str) -> None:
    url = f"/api/v1/products/{quote(product_id, safe='')}"
    if product_id != ".":  # which clients take out of a path
        problem(engine.http.put(url, json=product(product_id), headers=engine.authorized), 422, "$.product_id")
    for asked in (url, f"{url}/price-history"):
        assert engine.http.get(asked).status_code in {404, 422}


@pytest.mark.parametrize("name", ["a%00b", "%00", "%ff", "%ED%A0%80", "%F0%9F%98%80", "x" * 5000, "%2e%2e"])
def test_a_name_with_odd_bytes_is_not_found_or_refused(engine: Engine, name: str) -> None:
    for url in (
        f"/api/v1/products/{name}",
        f"/api/v1/products/{name}/price-history",
        f"/api/v1/market-events/{name}",
        f"/api/v1/market-events/x?source={name}",
        f"/api/v1/tasks/{name}",
    ):
        response = engine.http.get(url)
        assert response.status_code in {404, 422}, response.text
        assert response.headers["content-type"].startswith("application/problem+json")


@pytest.mark.parametrize(
    ("method", "url", "path"),
    [
        ("POST", f"{PRICE}?explain=banana", "$.explain"),
        ("POST", f"{PRICE}?explain=", "$.explain"),
        ("POST", f"{PRICE}?explain=%ff", "$.explain"),
        ("POST", f"{PRICES}?explain=2", "$.explain"),
        ("GET", "/api/v1/products/P-100/price-history?limit=0", "$.limit"),
        ("GET", "/api/v1/products/P-100/price-history?limit=-1", "$.limit"),
        ("GET", "/api/v1/products/P-100/price-history?limit=1001", "$.limit"),
        ("GET", "/api/v1/products/P-100/price-history?limit=many", "$.limit"),
        ("GET", "/api/v1/products/P-100/price-history?limit=99999999999999999999", "$.limit"),
        ("GET", "/api/v1/products/P-100/price-history?before_version=x", "$.before_version"),
    ],
)
def test_a_wrong_parameter_is_named(engine: Engine, method: str, url: str, path: str) -> None:
    body = {"items": [{"product_id": "P-100"}]} if url.startswith(PRICES) else {"product_id": "P-100"}
    problem(engine.http.request(method, url, json=body if method == "POST" else None), 422, path)


def test_a_version_beyond_all_versions_is_no_error_of_the_engines(engine: Engine) -> None:
    response = engine.http.get("/api/v1/products/P-100/price-history?before_version=99999999999999999999999")
    assert response.status_code in {200, 422}


@pytest.mark.parametrize(
    ("event", "path"),
    [
        ({"type": "price_changed"}, "$.type"),
        ({"type": 5}, "$.type"),
        ({"type": "demand_changed"}, "$.data"),
        ({"type": "demand_changed", "data": {"product_id": "P-100", "index": "NaN"}}, "$.data.index"),
        ({"type": "demand_changed", "data": {"product_id": "P-100", "index": "Infinity"}}, "$.data.index"),
        ({"type": "demand_changed", "data": {"product_id": "P-100", "index": "1e999999"}}, "$.data.index"),
        ({"type": "demand_changed", "data": {"product_id": "P-100", "index": 0}}, "$.data.index"),
        ({"type": "stock_changed", "data": {"product_id": "P-100", "stock": -1}}, "$.data.stock"),
        ({"type": "stock_changed", "data": {"product_id": "P-100", "stock": 10**15}}, "$.data.stock"),
        ({"type": "market_changed", "data": {"market": "\0", "multiplier": 1}}, "$.data.market"),
        ({"type": "market_changed", "data": {"market": "Z", "multiplier": "1.00001"}}, "$.data.multiplier"),
        ({"type": "recalculation_requested", "data": {"category": "a\0b"}}, "$.data.category"),
        ({"type": "recalculation_requested", "data": {"product_ids": ["P-1", "P 2"]}}, "$.data.product_ids[1]"),
        ({"data": []}, "$.data"),
        ({"event_id": ""}, "$.event_id"),
        ({"event_id": "x" * 201}, "$.event_id"),
        ({"event_id": "a\0b"}, "$.event_id"),
        ({"source": "a\0b"}, "$.source"),
        ({"time": "yesterday"}, "$.time"),
        ({"time": "2026-01-01T00:00:00"}, "$.time"),
        ({"time": "2999-01-01T00:00:00Z"}, "$.time"),
        ({"time": "0001-01-01T00:00:00+14:00"}, "$.time"),
        ({"time": "9999-12-31T23:59:59-14:00"}, "$.time"),
        ({"traceparent": "00"}, "$.traceparent"),
    ],
)
def test_a_wrong_event_is_refused_and_not_recorded(engine: Engine, event: dict[str, Any], path: str) -> None:
    event_id = f"bad-{uuid4()}"
    response = engine.http.post(EVENTS, json={"event_id": event_id, **event}, headers=engine.authorized)
    problem(response, 422, path)
    assert engine.sql("SELECT 1 FROM market_events WHERE id = %s", event_id) == []


@pytest.mark.parametrize("number", [b"1e999999", b"-1e999999", b"1" * 5000, b"0." + b"1" * 5000])
@pytest.mark.parametrize("field", [b"index", b"product_id", b"x"])
def test_a_huge_number_in_an_events_data_is_refused(engine: Engine, number: bytes, field: bytes) -> None:
    body = b'{"type": "demand_changed", "data": {"product_id": "P-100", "index": 1, "' + field + b'": ' + number + b"}}"
    response = send(engine, EVENTS, body)
    problem(response, response.status_code, response.json().get("path"))
    assert response.status_code in {400, 422}


def test_of_keys_that_stand_twice_the_last_one_counts(engine: Engine) -> None:
    response = send(engine, PRICE, b'{"product_id": "nobody", "product_id": "P-100", "quantity": 1, "quantity": 2}')
    assert response.status_code == 200
    assert (response.json()["product_id"], response.json()["quantity"]) == ("P-100", 2)


@pytest.mark.parametrize(
    ("scope", "path"),
    [
        ({"product_ids": []}, "$.product_ids"),
        ({"product_ids": "P-100"}, "$.product_ids"),
        ({"product_ids": ["P-100", "a\0b"]}, "$.product_ids[1]"),
        ({"product_ids": ["P-100"] * 10_001}, "$.product_ids"),
        ({"category": ""}, "$.category"),
        ({"category": "a\0b"}, "$.category"),
        ({"category": ["grocery"]}, "$.category"),
        ({"product_ids": ["P-100"], "category": "grocery"}, "$.category"),
        ({"colour": "red"}, "$.colour"),
    ],
)
def test_a_wrong_scope_is_refused_and_makes_no_task(engine: Engine, scope: dict[str, object], path: str) -> None:
    before = engine.sql("SELECT count(*) AS n FROM tasks")
    problem(engine.http.post(RECALCULATE, json=scope, headers=engine.authorized), 422, path)
    assert engine.sql("SELECT count(*) AS n FROM tasks") == before


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


def operations(engine: Engine) -> dict[str, Operation]:
    schema = schemathesis.openapi.from_dict(engine.http.get("/docs/openapi.json").json())
    found = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    return {str(operation.definition.raw["operationId"]): operation for operation in found}


@pytest.mark.parametrize("has_key", [False, True], ids=["without-a-key", "with-a-key"])
@pytest.mark.parametrize(("name", "mode"), GENERATED)
def test_no_generated_request_is_an_error_of_the_engines(
    engine: Engine, name: str, mode: GenerationMode, has_key: bool
) -> None:
    """Requests made from the served document, right ones and wrong ones: errors are problem documents."""
    operation = operations(engine)[name]
    key = engine.authorized if has_key else {}

    @given(case=operation.as_strategy(generation_mode=mode))
    @EXAMPLES
    def probe(case: Case[Any]) -> None:
        request = case.as_transport_kwargs(base_url=str(engine.http.base_url))
        headers = {name: value for name, value in request["headers"].items() if name.lower() != "authorization"}
        response = engine.http.request(
            request["method"],
            request["url"],
            params=request.get("params"),
            headers=headers | key,
            content=body_of(request),
        )
        assert response.status_code < 500, response.text
        if response.status_code >= 400:
            assert response.headers["content-type"].startswith("application/problem+json")

    probe()


def body_of(request: dict[str, Any]) -> bytes | None:
    if "json" in request:
        return json.dumps(request["json"]).encode()
    data = request.get("data")
    return data.encode() if isinstance(data, str) else data


def test_every_operation_but_the_abort_is_generated(engine: Engine) -> None:
    assert set(operations(engine)) - {"abortTask"} == {name for name, _ in GENERATED}


@pytest.mark.parametrize("text", ["1_0", " 1", "1e2", "+1", ".5", "١"])
def test_an_amount_is_digits_and_a_point_and_nothing_else_that_python_reads(engine: Engine, text: str) -> None:
    body = product("strict") | {"base_price": text}
    problem(engine.http.put("/api/v1/products/strict", json=body, headers=engine.authorized), 422, "$.base_price")
    tiers = [{"up_to": None, "unit_price": text}]
    body = product("strict") | {"tiers": tiers}
    path = "$.tiers[0].unit_price"
    problem(engine.http.put("/api/v1/products/strict", json=body, headers=engine.authorized), 422, path)
    rival = {"product_id": "P-100", "competitor": "acme", "price": text, "currency": "USD"}
    event = {"type": "competitor_price_changed", "data": rival}
    problem(engine.http.post(EVENTS, json=event, headers=engine.authorized), 422, "$.data.price")


def test_a_strategy_that_the_policy_does_not_know_is_refused_with_those_it_knows(engine: Engine) -> None:
    body = product("strict") | {"strategy": "mtach"}
    answer = engine.http.put("/api/v1/products/strict", json=body, headers=engine.authorized)
    assert "match" in problem(answer, 422, "$.strategy")["detail"]


@pytest.mark.parametrize("rest", [b', "quantity": 1', b', "x": \xff}', b"}}", b', "quantity": nope}'])
def test_what_is_no_json_is_400_also_behind_a_wrong_field(engine: Engine, rest: bytes) -> None:
    problem(send(engine, PRICE, b'{"product_id": 5' + rest), 400, "$")
