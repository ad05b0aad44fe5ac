"""Lists: every item once, page by page, whatever is written meanwhile."""

import gzip
import json
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.e2e.bad_input.problem_documents import problem
from tests.support.engine import Engine


def ask(engine: Engine, url: str, **query: Any) -> httpx.Response:
    return engine.http.get(url, params=query or None, headers=engine.authorized)


def pages(engine: Engine, url: str, **query: Any) -> list[list[dict[str, Any]]]:
    """Every page of a list."""
    found: list[list[dict[str, Any]]] = []
    cursor: dict[str, str] = {}
    while True:
        response = ask(engine, url, **query, **cursor)
        assert response.status_code == 200, response.text
        page = response.json()
        found.append(page["items"])
        if page["next"] is None:
            return found
        cursor = {"cursor": page["next"]}


def test_products_are_found_by_category_and_text_page_by_page(engine: Engine) -> None:
    category, mark = f"c-{uuid4().hex[:8]}", uuid4().hex[:8]
    ids = sorted(f"L-{mark}-{number}" for number in range(5))
    for product_id in ids:
        engine.put_product(product_id=product_id, category=category, name=f"100%_ Lamp\\ {product_id[-1]}")
    found = pages(engine, "/api/v1/products", category=category, limit=2)
    assert [[item["product_id"] for item in page] for page in found] == [ids[:2], ids[2:4], ids[4:]]
    assert found[0][0] == {
        "product_id": ids[0], "name": "100%_ Lamp\\ 0", "category": category, "currency": "USD",
        "base_price": "100.00", "published_price": "100.00", "version": 1,
    }  # fmt: skip
    for query, expected in [
        (mark.upper(), ids), (f"{mark}-3", [ids[3]]), ("%_ lamp\\ 4", [ids[4]]), ("100__lamp", []), ("nothing", [])
    ]:  # fmt: skip
        [page] = pages(engine, "/api/v1/products", query=query, category=category)
        assert [item["product_id"] for item in page] == expected, query
    assert [item["product_id"] for item in pages(engine, "/api/v1/products", query=mark)[0]] == ids
    assert pages(engine, "/api/v1/products", category="no such category") == [[]]
    engine.put_product(product_id=ids[0], category=category, tags=[mark, "red"])
    [page] = pages(engine, "/api/v1/products", tag=mark)
    assert [item["product_id"] for item in page] == [ids[0]]


def test_every_product_is_in_the_list_once(engine: Engine) -> None:
    listed = [item["product_id"] for page in pages(engine, "/api/v1/products", limit=7) for item in page]
    stored = [
        row["product_id"] for row in engine.sql('SELECT product_id FROM products ORDER BY product_id COLLATE "C"')
    ]
    assert sorted(listed) == stored


def test_tasks_are_listed_newest_first_by_kind_and_status(engine: Engine) -> None:
    ends = [engine.ended(engine.recalculate(product_ids=["P-100"])) for _ in range(3)]
    made = [end["task_id"] for end in ends]
    found = [item for page in pages(engine, "/api/v1/tasks", kind="recalculation", limit=2) for item in page]
    assert [item["task_id"] for item in found][:3] == made[::-1]
    assert len({item["task_id"] for item in found}) == len(found)
    assert found[:3] == ends[::-1]
    response = ask(engine, "/api/v1/tasks?status=succeeded&status=skipped&limit=1000")
    assert {item["status"] for item in response.json()["items"]} <= {"succeeded", "skipped"}
    assert set(made) <= {item["task_id"] for item in response.json()["items"]}


def test_events_are_listed_newest_first_by_type_and_status(engine: Engine) -> None:
    products = [engine.put_product()["product_id"] for _ in range(3)]
    ids = [engine.publish("demand_changed", {"product_id": one, "index": 1})["event_id"] for one in products]
    assert {engine.settled(event_id)["status"] for event_id in ids} == {"applied"}
    query = {"status": "applied", "type": "demand_changed", "limit": 2}
    found = [item for page in pages(engine, "/api/v1/market-events", **query) for item in page]
    assert [item["event_id"] for item in found][:3] == ids[::-1]
    assert {(item["status"], item["type"]) for item in found} == {("applied", "demand_changed")}
    assert pages(engine, "/api/v1/market-events", type="no_such_type") == [[]]


def test_events_are_listed_by_product(engine: Engine) -> None:
    product_id = engine.put_product()["product_id"]
    ids = [engine.publish("stock_changed", {"product_id": product_id, "stock": stock})["event_id"] for stock in (1, 2)]
    engine.publish("stock_changed", {"product_id": "P-100", "stock": 3})
    found = pages(engine, "/api/v1/market-events", product_id=product_id, limit=1)
    assert [item["event_id"] for page in found for item in page] == ids[::-1]
    assert pages(engine, "/api/v1/market-events", product_id=product_id, type="cost_changed") == [[]]


@pytest.mark.parametrize("column", ["product_set", "result", "error"])
def test_a_task_whose_row_is_corrupt_is_named_and_the_others_are_listed(engine: Engine, column: str) -> None:
    corrupt, sound = (engine.ended(engine.recalculate(product_ids=["P-100"]))["task_id"] for _ in range(2))
    engine.sql(f"UPDATE tasks SET {column} = %s WHERE task_id = %s", '["no", "object"]', corrupt)
    listed = {item["task_id"]: item for item in ask(engine, "/api/v1/tasks").json()["items"]}
    assert listed[sound]["error"] is None
    assert listed[corrupt]["error"]["type"] == "UnusableTask"
    assert engine.task(corrupt) == listed[corrupt]
    # A corrupt row includes no other task, and stops none.
    assert engine.ended(engine.recalculate(product_ids=["P-100"]))["status"] == "succeeded"
    engine.sql("DELETE FROM tasks WHERE task_id = %s", corrupt)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("/api/v1/tasks?status=nothing", "$.status[0]"),
        ("/api/v1/tasks?limit=0", "$.limit"),
        ("/api/v1/products?limit=1001", "$.limit"),
        ("/api/v1/products?cursor=nonsense", "$.cursor"),
        ("/api/v1/tasks?cursor=IlAtMSI", "$.cursor"),
        ("/api/v1/market-events?cursor=%00", "$.cursor"),
        ("/api/v1/products?category=", "$.category"),
        ("/api/v1/market-events?product_id=", "$.product_id"),
        ("/api/v1/products?query=", "$.query"),
        ("/api/v1/products?limit=1&limit=2", "$.limit"),
    ],
)
def test_a_wrong_parameter_of_a_list_is_named(engine: Engine, url: str, path: str) -> None:
    found = ask(engine, url)
    assert (found.status_code, found.json()["path"].partition("[")[0]) == (422, path.partition("[")[0])


def test_lists_need_a_key(engine: Engine) -> None:
    for url in ("/api/v1/products", "/api/v1/tasks", "/api/v1/market-events"):
        problem(engine.anonymous.get(url), 401)


def test_a_large_list_is_compressed_on_the_way(engine: Engine) -> None:
    items = {"items": [{"product_id": "P-100", "user_location": "x" * 60} for _ in range(500)]}
    url = "/api/v1/prices?explain=true"
    engine.price("P-100")
    with engine.http.stream("POST", url, json=items, headers={"accept-encoding": "gzip"}) as response:
        packed = b"".join(response.iter_raw())
    plain = engine.http.post(url, json=items, headers={"accept-encoding": "identity"})
    assert ("content-encoding" in response.headers) == (len(plain.content) >= 200_000) is True
    assert json.loads(gzip.decompress(packed)) == plain.json()


def test_a_pause_of_a_product_that_does_not_exist_is_refused(engine: Engine) -> None:
    mine = str(engine.put_product()["product_id"])
    body = {"product_ids": [mine, "T-unknown"], "reason": "stocktaking"}
    refused = engine.http.post("/api/v1/automation/pause", json=body)
    assert (refused.status_code, refused.json()["path"]) == (422, "$.product_ids[1]")
    assert not [one for page in pages(engine, "/api/v1/automation") for one in page if one["product_id"] == mine]


def test_pauses_in_force_are_listed_page_by_page(engine: Engine) -> None:
    mine = [str(engine.put_product()["product_id"]) for _ in range(3)]
    body: dict[str, object] = {"product_ids": mine, "reason": "stocktaking"}
    assert engine.http.post("/api/v1/automation/pause", json=body).status_code == 200
    try:
        found = [item for page in pages(engine, "/api/v1/automation", limit=2) for item in page]
        assert sorted(one["product_id"] for one in found if one["product_id"] in mine) == sorted(mine)
        assert {one["reason"] for one in found if one["product_id"] in mine} == {"stocktaking"}
    finally:
        ended = engine.http.post("/api/v1/automation/resume", json=body)
    assert ended.json() == {"ended": 3}
    assert not [one for page in pages(engine, "/api/v1/automation") for one in page if one["product_id"] in mine]
