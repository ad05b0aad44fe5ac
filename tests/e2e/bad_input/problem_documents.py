"""Requests to go wrong, and the problem documents that answer them."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import httpx

from tests.support.engine import Engine

PRICE, PRICES = "/api/v1/price", "/api/v1/prices"
EVENTS, RECALCULATE = "/api/v1/publish-market-event", "/api/v1/recalculate"


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


def each_bad(values: Mapping[str, Sequence[object]]) -> list[tuple[dict[str, object], str]]:
    """For each bad value of a field: the fields of a document, and the path that its problem names."""
    return [({field: value}, f"$.{field}") for field, bad in values.items() for value in bad]


def send(engine: Engine, url: str, content: bytes) -> httpx.Response:
    headers = engine.authorized | {"content-type": "application/json"}
    return engine.http.post(url, content=content, headers=headers)


def product(product_id: str) -> dict[str, object]:
    return {"product_id": product_id, "name": "Test", "currency": "USD", "base_price": "100.00"}
