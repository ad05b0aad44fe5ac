"""The audit log over HTTP: each write stands there with its key, outcome and trace when it is answered."""

import re
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.support.engine import Engine
from tests.support.waiting import eventually

LOG = "/api/v1/audit-log"


@pytest.fixture
def shop(engine: Engine) -> dict[str, Any]:
    """A new key: its `id` and `key`."""
    body = {"name": f"shop-{uuid4().hex[:8]}", "scopes": ["events:write", "catalogue:write"]}
    made = engine.http.post("/api/v1/keys", json=body).json()
    return {"id": made["made"]["id"], "name": body["name"], "headers": {"authorization": f"Bearer {made['key']}"}}


def entries(engine: Engine, **params: object) -> list[dict[str, Any]]:
    response = engine.http.get(LOG, params={name: str(value) for name, value in params.items()})
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["items"]
    return found


def test_a_write_is_there_when_it_is_answered_with_its_outcome_and_trace(engine: Engine, shop: dict[str, Any]) -> None:
    product = {"product_id": "AUDIT-1", "name": "x", "currency": "USD", "base_price": "1.00"}
    answers: list[httpx.Response] = []
    for method, path, body in (
        ("PUT", "/api/v1/products/AUDIT-1", product),
        ("PUT", "/api/v1/products/AUDIT-1", product | {"base_price": "many"}),
        ("POST", "/api/v1/recalculate", {}),
        ("DELETE", f"/api/v1/tasks/{uuid4()}", None),
        (
            "POST",
            "/api/v1/publish-market-event",
            {"type": "demand_changed", "data": {"product_id": "P-100", "index": 1}},
        ),
    ):
        answers.append(engine.anonymous.request(method, path, json=body, headers=shop["headers"]))
        [newest, *_] = entries(engine, key_id=shop["id"], limit=1)
        assert (newest["request"], newest["outcome"]) == (f"{method} {path}", str(answers[-1].status_code))
        assert newest["trace_id"] == answers[-1].headers["traceresponse"].split("-")[1]
        assert (newest["key_id"], newest["key_name"]) == (shop["id"], shop["name"])
    assert [answer.status_code for answer in answers] == [200, 422, 403, 403, 200]
    assert len(entries(engine, key_id=shop["id"])) == 5


def test_reads_and_strangers_are_not_in_it(engine: Engine, shop: dict[str, Any]) -> None:
    engine.anonymous.get("/api/v1/products/P-100", headers=shop["headers"])
    engine.anonymous.post("/api/v1/price", json={"product_id": "P-100"}, headers=shop["headers"])
    engine.anonymous.post("/api/v1/recalculate", headers={"authorization": "Bearer nobody"})
    assert entries(engine, key_id=shop["id"]) == []


def test_its_pages_follow_one_another(engine: Engine, shop: dict[str, Any]) -> None:
    for number in range(5):
        engine.anonymous.request("DELETE", f"/api/v1/tasks/{number}", headers=shop["headers"])
        engine.anonymous.post("/api/v1/publish-market-event", json={"type": "x"}, headers=shop["headers"])
    whole = entries(engine, key_id=shop["id"])
    found: list[dict[str, Any]] = []
    page: dict[str, Any] = {"next": None}
    while not found or page["next"] is not None:
        cursor = {} if page["next"] is None else {"cursor": page["next"]}
        page = engine.http.get(LOG, params={"key_id": shop["id"], "limit": 2, **cursor}).json()
        found += page["items"]
    assert found == whole
    assert len(whole) >= 5


def test_it_is_chosen_by_time(engine: Engine, shop: dict[str, Any]) -> None:
    engine.anonymous.post("/api/v1/publish-market-event", json={"type": "x"}, headers=shop["headers"])
    [entry] = entries(engine, key_id=shop["id"])
    at = entry["recorded_at"]
    assert entries(engine, key_id=shop["id"], since=at) == [entry]
    assert entries(engine, key_id=shop["id"], until=at) == []
    refused = engine.http.get(LOG, params={"since": "2026-01-01T00:00:00"})
    assert (refused.status_code, refused.json()["path"]) == (422, "$.since")


def test_the_listener_has_made_the_partition_of_this_month(engine: Engine, shop: dict[str, Any]) -> None:
    engine.anonymous.post("/api/v1/publish-market-event", json={"type": "x"}, headers=shop["headers"])
    query = "SELECT tableoid::regclass::text AS name FROM audit_log WHERE key_id = %s"
    in_month = re.compile(r"audit_log_20\d\d_\d\d").fullmatch
    eventually(lambda: in_month(engine.sql(query, shop["id"])[0]["name"]), "the entry is in its month's partition")
