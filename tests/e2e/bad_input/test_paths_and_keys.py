"""A wrong path, method, parameter or API key gets a problem document."""

from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest

from tests.e2e.bad_input.problem_documents import EVENTS, PRICE, PRICES, RECALCULATE, problem, product
from tests.support.engine import Engine

NOBODY = "f4b60373-164b-41c9-bcd8-c54779a2321b"


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("GET", "/api/v1/products/nobody"),
        ("GET", "/api/v1/products/nobody/price-history"),
        ("GET", "/api/v1/market-events/nobody"),
        ("GET", "/api/v1/market-events/nobody?source=nobody"),
        ("GET", f"/api/v1/tasks/{NOBODY}"),
        ("DELETE", f"/api/v1/tasks/{NOBODY}"),
        ("DELETE", "/api/v1/products/nobody"),
        ("GET", "/api/v1/tasks/no-uuid"),
        ("DELETE", "/api/v1/tasks/no-uuid"),
        ("GET", "/nowhere"),
        ("GET", "/api/v1"),
        ("GET", "/api/v1/products/a%2Fb/price-history/c"),
        ("GET", "/api/v1/products/a%2Fb"),
        ("GET", "/assets/swagger-ui/nothing.js"),
        ("GET", "/assets/swagger-ui/..%2f..%2f__init__.py"),
        ("GET", "/assets/swagger-ui/%00"),
        ("GET", f"/assets/swagger-ui/{'x' * 300}"),
        ("GET", "/assets/swagger-ui/swagger-ui.css/x"),
    ],
)
def test_what_does_not_exist_is_not_found(engine: Engine, method: str, url: str) -> None:
    problem(engine.http.request(method, url, headers=engine.authorized), 404)


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("GET", PRICE),
        ("PUT", PRICES),
        ("POST", "/api/v1/products/P-100"),
        ("PATCH", RECALCULATE),
        ("POST", "/metrics"),
    ],
)
def test_a_wrong_method_is_refused(engine: Engine, method: str, url: str) -> None:
    refused = engine.http.request(method, url, headers=engine.authorized)
    problem(refused, 405)
    assert refused.headers["allow"] == engine.http.options(url).headers["allow"]


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("POST", EVENTS),
        ("POST", RECALCULATE),
        ("PUT", "/api/v1/products/P-100"),
        ("DELETE", "/api/v1/products/P-100"),
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
    response = engine.anonymous.request(method, url, json={}, headers=httpx.Headers(headers))  # type: ignore[arg-type] # bytes pass
    problem(response, 401)
    assert response.headers["www-authenticate"] == "Bearer"
    assert engine.key not in response.text
    assert engine.sql("SELECT count(*) AS n FROM tasks") == before


def test_a_write_without_a_key_says_nothing_of_its_body(engine: Engine) -> None:
    problem(engine.anonymous.post(EVENTS, content=b"{"), 401)


@pytest.mark.parametrize("product_id", [" a", "a ", "a\tb", "\u200b", "x" * 129, "a\0b", "a\n"])
def test_an_id_with_odd_characters_is_refused_as_a_path_as_in_a_body(engine: Engine, product_id: str) -> None:
    url = f"/api/v1/products/{quote(product_id, safe='')}"
    if product_id != "a\0b":  # no path has NUL
        problem(engine.http.put(url, json=product(product_id), headers=engine.authorized), 422, "$.product_id")
    # Clients make the path of the list from a dot.
    for asked in (url, f"{url}/price-history")[product_id == "." :]:
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


@pytest.mark.parametrize("url", ["/api/v1/products/P-100", "/health/ready", "/metrics", "/docs"])
def test_head_is_get_without_a_body(engine: Engine, url: str) -> None:
    get, head = engine.http.get(url), engine.http.head(url)
    assert (head.status_code, head.headers["content-type"], head.content) == (200, get.headers["content-type"], b"")


@pytest.mark.parametrize("event_id", ["a/b", "/", "a//b", "%2F", "é/?#%", "."])
def test_an_event_is_found_by_any_id_encoded(engine: Engine, event_id: str) -> None:
    source = f"odd-{uuid4()}"
    engine.publish("demand_changed", {"product_id": "P-nobody", "index": 1}, event_id=event_id, source=source)
    url = f"/api/v1/market-events/{quote(event_id, safe='').replace('.', '%2E')}"
    found = engine.http.get(url, params={"source": source})
    assert (found.status_code, found.json().get("event_id")) == (200, event_id)


def test_a_version_beyond_all_versions_is_no_error_of_the_engines(engine: Engine) -> None:
    response = engine.http.get("/api/v1/products/P-100/price-history?before_version=99999999999999999999999")
    assert response.status_code in {200, 422}


@pytest.mark.parametrize("query", ["since=0.5", "until=0.5", "until=2026-11-27T00:00:00"])
def test_a_number_and_a_time_without_an_offset_are_no_instants(engine: Engine, query: str) -> None:
    refused = engine.http.get(f"/api/v1/products/P-100/price-history?{query}")
    problem(refused, 422, f"$.{query.partition('=')[0]}")
