"""A bad market event or recalculation gets a problem document, and is not recorded."""

from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.bad_input.problem_documents import EVENTS, RECALCULATE, problem, send
from tests.support.engine import Engine


def test_what_has_ended_cannot_be_aborted(engine: Engine) -> None:
    task_id = engine.recalculate(product_ids=["P-100"])
    engine.ended(task_id)
    problem(engine.http.delete(f"/api/v1/tasks/{task_id}", headers=engine.authorized), 409)


def offer(**fields: str) -> dict[str, Any]:
    """A competitor's price with these fields."""
    data = {"product_id": "P-100", "competitor": "acme", "price": "39.90", "currency": "USD"}
    return {"type": "competitor_price_changed", "data": data | fields}


@pytest.mark.parametrize(
    ("event", "path"),
    [
        ({"type": "price_changed"}, "$.type"),
        ({"type": 5}, "$.type"),
        ({"type": "\0"}, "$.type"),
        ({"type": "demand_changed\n"}, "$.type"),
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
        ({"type": "recalculation_requested", "data": {"product_ids": ["P-1", "P\t2"]}}, "$.data.product_ids[1]"),
        (offer(expires_at="2026-01-01T00:00:00"), "$.data.expires_at"),
        (offer(expires_at="9999-12-31T23:59:59-14:00"), "$.data.expires_at"),
        (offer(expires_at="0001-01-01T00:00:00+14:00"), "$.data.expires_at"),
        (offer(price="0"), "$.data.price"),
        (offer(price="-1"), "$.data.price"),
        (offer(currency="XXX"), "$.data.currency"),
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
    event = {"event_id": event_id, "type": "recalculation_requested", **event}
    response = engine.http.post(EVENTS, json=event, headers=engine.authorized)
    problem(response, 422, path)
    assert engine.sql("SELECT 1 FROM market_events WHERE id = %s", event_id) == []


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "/api/v1/automation/pause", {"reason": "stocktaking"}, "until"),
        ("PUT", "/api/v1/products/P-100/manual-price", {"reason": "a clearance", "price": "39.90"}, "until"),
        ("POST", "/api/v1/keys", {"name": "crawler", "scopes": ["events:write"]}, "expires_at"),
    ],
)
def test_an_end_after_the_year_9999_in_utc_is_refused(
    engine: Engine, method: str, path: str, body: dict[str, object], field: str
) -> None:
    """PostgreSQL would keep it, and no process could read it any more: a pause of everything stopped all decisions."""
    body |= {field: "9999-12-31T23:59:59-14:00"}
    problem(engine.http.request(method, path, json=body, headers=engine.authorized), 422, f"$.{field}")


@pytest.mark.parametrize("number", [b"1e999999", b"-1e999999", b"1" * 5000, b"0." + b"1" * 5000])
@pytest.mark.parametrize("field", [b"index", b"product_id", b"x"])
def test_a_huge_number_in_an_events_data_is_refused(engine: Engine, number: bytes, field: bytes) -> None:
    body = b'{"type": "demand_changed", "data": {"product_id": "P-100", "index": 1, "' + field + b'": ' + number + b"}}"
    response = send(engine, EVENTS, body)
    problem(response, response.status_code, response.json().get("path"))
    assert response.status_code in {400, 422}


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
