"""The OpenAPI document is complete, and its page needs no other host."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import jsonschema_rs
import pytest

from tests.support.engine import Engine
from tests.support.waiting import eventually

# Whoever has an offer may verify it.
OPEN = ("/api/v1/offers/verify", "/.well-known/jwks.json")
METHODS = {"get", "put", "post", "delete", "patch"}
Document = dict[str, Any]


class Operation(NamedTuple):
    """One operation of the document."""

    method: str
    path: str
    content: Document


@pytest.fixture(scope="module")
def document(engine: Engine) -> Document:
    response = engine.http.get("/docs/openapi.json")
    assert response.status_code == 200
    found: Document = response.json()
    return found


def test_the_usual_address_leads_to_the_document(engine: Engine, document: Document) -> None:
    assert engine.http.get("/openapi.json", follow_redirects=True).json() == document


def operations(document: Document) -> list[Operation]:
    return [
        Operation(method, path, content)
        for path, item in document["paths"].items()
        for method, content in item.items()
        if method in METHODS
    ]


def fields(document: Document, names: set[str]) -> Iterator[tuple[str, Document]]:
    for name in sorted(names):
        for field, content in document["components"]["schemas"][name].get("properties", {}).items():
            yield f"{name}.{field}", content


def references(document: Document, content: object) -> set[str]:
    """The names of the schemas that some part of the document leads to."""
    found: set[str] = set()
    waiting = [content]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            name = str(part.get("$ref", "")).rpartition("/")[2]
            if name and name not in found:
                found.add(name)
                waiting.append(document["components"]["schemas"][name])
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
    return found


def test_it_is_openapi_3_1_with_every_path_of_the_contract(document: Document) -> None:
    assert document["openapi"].startswith("3.1")
    assert {(o.method, o.path) for o in operations(document)} >= {
        ("post", "/api/v1/price"),
        ("post", "/api/v1/prices"),
        ("post", "/api/v1/recalculate"),
        ("get", "/api/v1/tasks/{task_id}"),
        ("delete", "/api/v1/tasks/{task_id}"),
        ("post", "/api/v1/publish-market-event"),
        ("get", "/api/v1/market-events/{event_id}"),
        ("get", "/api/v1/products/{product_id}"),
        ("put", "/api/v1/products/{product_id}"),
        ("get", "/api/v1/products/{product_id}/price-history"),
        ("get", "/health/live"),
        ("get", "/health/ready"),
        ("get", "/metrics"),
    }


def test_every_operation_has_a_name_of_its_own_a_summary_and_a_description(document: Document) -> None:
    names = [operation.content["operationId"] for operation in operations(document)]
    assert len(set(names)) == len(names)
    for operation in operations(document):
        assert operation.content["summary"], operation.path
        assert operation.content["description"], operation.path
        assert operation.content["tags"], operation.path


def test_every_parameter_has_a_description(document: Document) -> None:
    for operation in operations(document):
        for parameter in operation.content.get("parameters", []):
            assert parameter.get("description") or parameter["schema"].get("description"), parameter


def test_every_field_has_a_description(document: Document) -> None:
    every = set(document["components"]["schemas"])
    assert [name for name, content in fields(document, every) if not content.get("description")] == []


def test_every_field_has_a_type(document: Document) -> None:
    """Clients that are generated have no `unknown` and no `Any`."""
    assert list(untyped("", document["components"]["schemas"])) == []


def untyped(place: str, part: object) -> Iterator[str]:
    """The places of schemas that allow everything."""
    if isinstance(part, list):
        for index, each in enumerate(part):
            yield from untyped(f"{place}[{index}]", each)
    if not isinstance(part, dict):
        return
    if "description" in part and not part.keys() & {"type", "enum", "anyOf", "oneOf", "allOf", "$ref"}:
        yield place
    if part.get("type") == "array" and not part.get("items"):
        yield place
    if part.get("type") == "object" and not part.get("properties") and part.get("additionalProperties") in (None, True):
        yield place
    for name, each in part.items():
        if name not in {"examples", "example", "default", "propertyNames"}:
            yield from untyped(f"{place}.{name}", each)


def test_every_field_of_a_request_has_an_example(document: Document) -> None:
    requested = references(document, [o.content.get("requestBody", {}) for o in operations(document)])
    assert {"PriceQuery", "ProductInput", "MarketEvent"} <= requested
    found = dict(fields(document, requested))
    assert [name for name, content in found.items() if not content.get("examples", content.get("example"))] == []


def test_every_error_is_a_problem_document(document: Document) -> None:
    """Except the readiness report, which is the same document whether all is well or not."""
    for operation in operations(document):
        if operation.path == "/health/ready":
            continue
        for status, response in operation.content["responses"].items():
            if int(status) >= 400:
                assert set(response["content"]) == {"application/problem+json"}, (operation.path, status)
                assert response["description"]


def test_every_operation_says_whether_it_needs_a_key(document: Document) -> None:
    """Health and offers need none; a price and the metrics may do without, by the settings."""
    for operation in operations(document):
        is_open = "/health/" in operation.path or operation.path in OPEN
        is_optional = operation.path in ("/api/v1/price", "/api/v1/prices", "/metrics")
        security = operation.content.get("security", [])
        assert bool(security) is not is_open, operation.path
        assert ({} in security) is is_optional, operation.path
        assert ("401" in operation.content["responses"]) is not is_open, operation.path
        assert ("403" in operation.content["responses"]) is (operation.path.startswith("/api/") and not is_open), (
            operation.path
        )
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"


def test_an_amount_is_a_string_and_a_request_may_have_a_number(document: Document) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["PriceAnswer"]["properties"]["final_price"]["type"] == "string"
    assert schemas["ProductInput"]["properties"]["base_price"]["type"] == ["string", "number"]


def test_a_request_says_which_values_are_refused(document: Document) -> None:
    schemas = document["components"]["schemas"]
    for name in ("PriceQuery", "PriceQueries", "ProductInput", "Tier", "DemandChangedEvent", "RecalculationRequested"):
        assert schemas[name]["additionalProperties"] is False, name
    currency, _ = schemas["PriceQuery"]["properties"]["currency"]["anyOf"]
    assert currency["pattern"] == "^[A-Z]{3}$"


def test_an_answer_has_the_fields_that_the_document_says(engine: Engine, document: Document) -> None:
    answer = engine.http.post("/api/v1/price?explain=true", json={"product_id": "P-100"}).json()
    documented = document["components"]["schemas"]["PriceAnswer"]
    assert set(answer) <= set(documented["properties"])
    assert set(documented["required"]) <= set(answer)


def test_plans_events_tasks_and_differences_are_as_the_document_says(engine: Engine, document: Document) -> None:
    product_id = engine.put_product(category="toys")["product_id"]
    source, name = f"openapi-{product_id}", f"o-{product_id.lower()}"
    engine.publish("stock_changed", {"product_id": product_id, "stock": 3}, source=source)
    engine.broadcast("nonsense", {"any": [1, [None, {"text": "x"}]], "nothing": None}, source=source)
    promotion = {"id": name, "percent": "20", "conditions": [{"attribute": "quantity", "gte": 2}]}
    query = {"name": "two", "quantity": 2, "volumes": {product_id: "3"}}
    made = engine.http.post("/api/v1/plans", json={"changes": [{"promotion": promotion}], "queries": [query]}).json()
    path = f"/api/v1/plans/{made['plan_id']}"
    eventually(lambda: engine.http.get(path).json()["status"] == "ready", "the plan is ready")
    version = engine.http.put(f"/api/v1/promotions/{name}", json=promotion).json()["version"]
    engine.http.delete(f"/api/v1/promotions/{name}")

    def events() -> list[Document]:
        items: list[Document] = engine.http.get("/api/v1/market-events", params={"limit": 100}).json()["items"]
        return [item for item in items if item["source"] == source]

    eventually(lambda: {event["status"] for event in events()} == {"applied", "rejected"}, "both events have ended")
    diff = engine.http.get("/api/v1/rulebook/diff", params={"from": version - 1, "to": version}).json()
    tasks = engine.http.get("/api/v1/tasks", params={"limit": 20}).json()["items"]
    answers = [("PlanView", engine.http.get(path).json()), ("Diff", diff), *(("TaskView", task) for task in tasks)]
    for schema, answer in [*answers, *(("EventView", event) for event in events())]:
        whole = {"$ref": f"#/components/schemas/{schema}", "components": document["components"]}
        assert [error.message for error in jsonschema_rs.iter_errors(whole, answer)] == [], answer


def links(page: str) -> list[str]:
    return re.findall(r"""<(?:script|link|img|iframe)[^>]*?(?:src|href)\s*=\s*["']([^"']+)""", page)


def test_the_page_needs_nobody_else(engine: Engine) -> None:
    page = engine.http.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert links(page.text)
    assert [link for link in links(page.text) if not re.match(r"/(?!/)", link)] == []
    assert not re.search(r"@import|url\(\s*['\"]?(?:https?:)?//", page.text)


def test_all_that_the_page_needs_is_there(engine: Engine) -> None:
    page = engine.http.get("/docs").text
    for link in links(page):
        asset = engine.http.get(link)
        assert asset.status_code == 200, link
        assert asset.content
        if link.endswith(".css"):
            assert not re.search(rb"@import|url\(\s*['\"]?(?:https?:)?//", asset.content)
    assert {link.rpartition(".")[2] for link in links(page)} >= {"js", "css", "png"}
