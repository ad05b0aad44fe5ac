"""Prices as of an instant: computed again from the history, they are what was served."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.e2e.bad_input.problem_documents import problem
from tests.support.engine import Engine
from tests.support.waiting import eventually

QUERIES: tuple[dict[str, Any], ...] = (
    {},
    {"user_location": "NY", "is_prime_member": True},
    {"quantity": 12},
    {"channel": "shop", "quantity": 3},
    {"channel": "app"},
)
UNENDED = "SELECT task_id FROM tasks WHERE status IN ('queued', 'running')"
Served = list[tuple[datetime, dict[str, Any], bytes]]


def written(response: httpx.Response) -> None:
    assert response.status_code == 200, response.text


def body_of(engine: Engine, query: dict[str, Any]) -> bytes:
    content = engine.http.post("/api/v1/price", json=query).content
    return re.sub(rb',"source":"\w+"', b"", content)


@pytest.fixture
def name(engine: Engine) -> Iterator[str]:
    """Of a promotion, a price list and a market, which end with the test."""
    name = f"t-{uuid4().hex[:10]}"
    yield name
    for kind in ("promotions", "price-lists", "markets"):
        engine.http.delete(f"/api/v1/{kind}/{name}")


def test_served_prices_are_computed_again_byte_for_byte(engine: Engine, name: str) -> None:
    tiers = [{"up_to": 9, "unit_price": "90"}, {"up_to": None, "unit_price": "70"}]
    product_id = engine.put_product(tiers=tiers, cost="40")["product_id"]
    own = {"product_id": product_id}
    served: Served = []

    def change(act: Callable[[], object], is_served: Callable[[dict[str, Any]], bool]) -> None:
        act()
        eventually(lambda: not engine.sql(UNENDED), "no recalculation left that finds lowest prices")
        last = engine.sql("SELECT version FROM prices WHERE product_id = %s", product_id)[0]["version"]

        def newest_is_served() -> bool:
            price = engine.http.post("/api/v1/price", json=own).json()
            return price["version"] == last and is_served(price)

        eventually(newest_is_served, "the change is served")
        for query in QUERIES:
            served.append((datetime.now(UTC), own | query, body_of(engine, own | query)))

    def put(path: str, body: dict[str, Any]) -> Callable[[], object]:
        return lambda: written(engine.http.put(f"/api/v1/{path}", json=body))

    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%dT%H:%M:%S}"
    market = f"m{name}"
    entry = {"entries": [own | {"amount": "55.50"}]}
    change(lambda: None, lambda price: price["version"] == 1)
    change(put(f"products/{product_id}", own | {"name": "T", "currency": "USD", "base_price": "90", "tiers": tiers}),
        lambda price: price["version"] == 2)  # fmt: skip
    promotion = {"id": name, "percent": "10", "applies_to": {"products": [product_id]}, "until": tomorrow}
    change(put(f"promotions/{name}", promotion), lambda price: price["final_price"] == "76.95")
    change(put(f"promotions/{name}", promotion | {"percent": "20"}), lambda price: price["final_price"] == "68.40")
    before = engine.http.get("/api/v1/rulebook").json()["version"]
    change(
        put(f"price-lists/{name}", {"id": name, "kind": "override"}), lambda price: price["rulebook_version"] > before
    )
    change(put(f"price-lists/{name}/entries", entry), lambda price: price["final_price"] == "44.40")
    own |= {"user_location": market}
    change(put(f"markets/{market}", {"multiplier": "1.5"}), lambda price: price["market"] == market)
    abroad = own | {"channel": "web"}
    own.pop("user_location")
    served.append((datetime.now(UTC), abroad, body_of(engine, abroad)))
    change(lambda: engine.http.delete(f"/api/v1/promotions/{name}"), lambda price: price["final_price"] == "55.50")
    engine.http.delete(f"/api/v1/products/{product_id}")
    eventually(lambda: engine.anonymous.post("/api/v1/price", json=own).status_code == 404, "the product is gone")
    gone = datetime.now(UTC)
    eventually(lambda: datetime.now(UTC) > gone + timedelta(seconds=1.2), "a second after the last instant")
    assert len({body for _, _, body in served}) > 20
    for at, query, body in served:
        assert body_of(engine, query | {"at": at.isoformat()}) == body
    problem(engine.http.post("/api/v1/price", json=own | {"at": gone.isoformat()}), 404)
    items = [query | {"at": at.isoformat()} for at, query, _ in served] + [own | {"at": gone.isoformat()}, own]
    answers = engine.http.post("/api/v1/prices", json={"items": items}).json()["items"]
    assert [answer.get("price", {}).get("final_price") for answer in answers[:-2]] == [
        engine.http.post("/api/v1/price", json=item).json()["final_price"] for item in items[:-2]
    ]
    assert [answer["error"]["status"] for answer in answers[-2:]] == [404, 404]


def test_before_the_history_there_is_no_price(engine: Engine) -> None:
    product_id = engine.put_product()["product_id"]
    for at in ("2020-01-01T00:00:00Z", (datetime.now(UTC) - timedelta(days=300)).isoformat()):
        found = problem(engine.http.post("/api/v1/price", json={"product_id": product_id, "at": at}), 422, "$.at")
        assert found["type"] == "urn:pricing:no-history"


def test_past_prices_of_one_customer_are_not_kept(engine: Engine, name: str) -> None:
    engine.http.put(f"/api/v1/price-lists/{name}", json={"id": name, "kind": "override"}).raise_for_status()
    product_id = engine.put_product()["product_id"]
    began = datetime.now(UTC)
    eventually(lambda: datetime.now(UTC) > began + timedelta(seconds=1.2), "the instant is past")
    query = {"product_id": product_id, "at": began.isoformat()}
    assert engine.http.post("/api/v1/price", json=query).json()["final_price"] == "95.00"
    problem(engine.http.post("/api/v1/price", json=query | {"customer_id": "c-1"}), 422, "$.at")
    assert engine.anonymous.post("/api/v1/price", json=query).status_code == 401


def test_the_history_is_paged_by_time_with_causes_also_of_a_deleted_product(engine: Engine) -> None:
    product_id = engine.put_product()["product_id"]
    for price in ("90", "80"):
        engine.put_product(product_id=product_id, base_price=price)
    engine.http.delete(f"/api/v1/products/{product_id}")
    url = f"/api/v1/products/{product_id}/price-history"
    pages = [engine.http.get(url, params={"limit": 3}).json()]
    pages.append(engine.http.get(url, params={"limit": 3, "cursor": pages[0]["next"]}).json())
    found = [change for page in pages for change in page["changes"]]
    assert [change["version"] for change in found] == [4, 3, 2, 1]
    assert pages[1]["next"] is None
    assert [change["cause"] for change in found] == ["deletion", "write", "write", "write"]
    assert [change["new_price"] for change in found] == [None, "80.00", "90.00", "100.00"]
    rulebook = engine.http.get("/api/v1/rulebook").json()["version"]
    assert {change["rulebook_version"] for change in found} == {rulebook}
    assert all(len(change["trace_id"]) == 32 for change in found)
    window = {"since": found[2]["at"], "until": found[0]["at"]}
    assert [change["version"] for change in engine.http.get(url, params=window).json()["changes"]] == [3, 2]
    problem(engine.http.get(url, params={"since": "2026-01-01T00:00:00"}), 422, "$.since")


def test_the_history_has_the_terms_that_are_asked_for(engine: Engine, name: str) -> None:
    product_id = engine.put_product()["product_id"]
    engine.http.put(f"/api/v1/markets/{name}", json={"multiplier": "1.25"}).raise_for_status()
    url = f"/api/v1/products/{product_id}/price-history"
    assert "terms" not in engine.http.get(url).json()
    first = engine.http.get(url, params={"terms": True, "limit": 1}).json()
    [market] = first["terms"]
    assert (first["changes"], market["kind"], market["name"], market["after"]) == ([], "multiplier", name, "1.25")
    seen = engine.http.get(url, params={"terms": True, "limit": 1, "cursor": first["next"]}).json()
    while not seen["changes"]:
        seen = engine.http.get(url, params={"terms": True, "limit": 1, "cursor": seen["next"]}).json()
    assert [change["version"] for change in seen["changes"]] == [1]
    problem(engine.http.get(url, params={"terms": True, "before_version": 1}), 422, "$.before_version")
