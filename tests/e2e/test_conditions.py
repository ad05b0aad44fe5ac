"""Conditional requests: what a caller has is not sent again, and nobody overwrites what they have not seen."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx
import pytest

from tests.e2e.bad_input.problem_documents import problem
from tests.support.engine import Engine


def put(engine: Engine, product: dict[str, object], **conditions: str) -> httpx.Response:
    headers = engine.authorized | {name.replace("_", "-"): value for name, value in conditions.items()}
    return engine.http.put(f"/api/v1/products/{product['product_id']}", json=product, headers=headers)


def get(engine: Engine, url: str, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return engine.http.get(url, headers=engine.authorized | named)


def test_a_product_that_nobody_changed_is_not_sent_again(engine: Engine) -> None:
    product = engine.put_product()
    url = f"/api/v1/products/{product['product_id']}"
    tag = get(engine, url).headers["etag"]
    unchanged = get(engine, url, if_none_match=tag)
    assert (unchanged.status_code, unchanged.content, unchanged.headers["etag"]) == (304, b"", tag)
    put(engine, product | {"name": "Another"})
    changed = get(engine, url, if_none_match=tag)
    assert (changed.status_code, changed.json()["catalogue"]["product"]["name"]) == (200, "Another")
    assert changed.headers["etag"] != tag


def test_a_write_answers_the_tag_that_the_next_read_has(engine: Engine) -> None:
    product = engine.put_product()
    written = put(engine, product | {"base_price": "120.00"})
    assert get(engine, f"/api/v1/products/{product['product_id']}").headers["etag"] == written.headers["etag"]


def test_a_write_over_a_change_that_its_caller_has_not_seen_is_refused(engine: Engine) -> None:
    product = engine.put_product()
    seen = put(engine, product | {"base_price": "110.00"}).headers["etag"]
    assert put(engine, product | {"base_price": "120.00"}, if_match=seen).status_code == 200
    problem(put(engine, product | {"base_price": "130.00"}, if_match=seen), 412)
    assert engine.price(str(product["product_id"]))["base_price"] == "120.00"


@pytest.mark.parametrize("kind", ["cost", "stock", "competitor_price"])
def test_a_write_over_an_event_that_its_caller_has_not_seen_is_refused(engine: Engine, kind: str) -> None:
    product = engine.put_product(cost="80.00", stock=10)
    seen = put(engine, product | {"name": "Atlas"}).headers["etag"]
    facts: dict[str, dict[str, object]] = {
        "cost": {"cost": "97.00", "currency": "USD"},
        "stock": {"stock": 4},
        "competitor_price": {"competitor": "acme", "price": "95.00", "currency": "USD"},
    }
    event = engine.publish(f"{kind}_changed", {"product_id": product["product_id"], **facts[kind]})
    assert engine.settled(event["event_id"])["status"] == "applied"
    problem(put(engine, product | {"name": "Atlas II"}, if_match=seen), 412)
    stored = get(engine, f"/api/v1/products/{product['product_id']}").json()["catalogue"]["product"]
    assert stored["name"] == "Atlas"
    assert (stored["cost"], stored["stock"]) == ("97.00" if kind == "cost" else "80.00", 4 if kind == "stock" else 10)


def test_one_change_of_many_at_once_is_made(engine: Engine) -> None:
    product = engine.put_product()
    seen = put(engine, product | {"base_price": "110.00"}).headers["etag"]
    changes = [product | {"base_price": f"{number}.00"} for number in range(120, 126)]
    with ThreadPoolExecutor(6) as threads:
        statuses = list(threads.map(lambda change: put(engine, change, if_match=seen).status_code, changes))
    assert sorted(statuses) == [200, 412, 412, 412, 412, 412]


def test_a_product_is_created_once_where_its_callers_ask_for_that(engine: Engine) -> None:
    product: dict[str, object] = {
        "product_id": f"T-{uuid4().hex[:12]}", "name": "Test", "currency": "USD", "base_price": "100.00"
    }  # fmt: skip
    problem(put(engine, product, if_match="*"), 412)
    rivals = [product | {"name": f"Rival {number}"} for number in range(6)]
    with ThreadPoolExecutor(6) as threads:
        statuses = list(threads.map(lambda rival: put(engine, rival, if_none_match="*").status_code, rivals))
    assert sorted(statuses) == [200, 412, 412, 412, 412, 412]


def test_tasks_and_events_are_not_sent_again(engine: Engine) -> None:
    event = engine.publish("demand_changed", {"product_id": "P-100", "index": 1.0})["event_id"]
    engine.settled(event)
    task = engine.recalculate(product_ids=["P-100"])
    engine.ended(task)
    for url in (f"/api/v1/market-events/{event}", f"/api/v1/tasks/{task}"):
        assert get(engine, url, if_none_match=get(engine, url).headers["etag"]).status_code == 304


def test_a_product_that_has_changed_is_not_deleted(engine: Engine) -> None:
    product = engine.put_product()
    url = f"/api/v1/products/{product['product_id']}"
    seen = get(engine, url).headers["etag"]
    current = put(engine, product | {"name": "Another"}).headers["etag"]
    problem(engine.http.delete(url, headers=engine.authorized | {"if-match": seen}), 412)
    assert engine.http.delete(url, headers=engine.authorized | {"if-match": current}).status_code == 204
    problem(engine.http.delete(url, headers=engine.authorized | {"if-match": current}), 412)
