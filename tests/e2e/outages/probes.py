"""Requests to a stack that may be away, and what it must answer in the end."""

from typing import Any
from uuid import uuid4

import httpx

from tests.support.engine import Engine
from tests.support.waiting import eventually

HERE = "CHI"  # its multiplier is 1: what is published is what is asked


def get_or_none(engine: Engine, method: str, path: str, **more: Any) -> httpx.Response | None:
    """An answer over a new connection, so that any of the API's processes may give it; None without one."""
    try:
        return httpx.request(
            method,
            f"{engine.http.base_url}{path}",
            timeout=30,
            trust_env=False,
            **{"headers": engine.authorized} | more,
        )
    except httpx.TransportError:
        return None


def post(engine: Engine, path: str, body: object) -> httpx.Response:
    response = get_or_none(engine, "POST", path, json=body)
    assert response is not None, f"no answer to {path}"
    return response


def readiness(engine: Engine) -> tuple[int, str]:
    response = get_or_none(engine, "GET", "/health/ready")
    return (0, "no answer") if response is None else (response.status_code, response.json()["status"])


def price(engine: Engine, product_id: str) -> httpx.Response:
    return post(engine, "/api/v1/price", {"product_id": product_id, "user_location": HERE})


def a_rival(product_id: str, amount: str = "95.00") -> dict[str, object]:
    return {"product_id": product_id, "competitor": "acme", "price": amount, "currency": "USD"}


def an_event(product_id: str, amount: str = "95.00") -> dict[str, object]:
    return {"type": "competitor_price_changed", "data": a_rival(product_id, amount), "event_id": str(uuid4())}


def is_served(engine: Engine, product_id: str, amount: str) -> None:
    """The price is answered, once the API is there to do so."""

    def look() -> bool:
        body = {"product_id": product_id, "user_location": HERE}
        response = get_or_none(engine, "POST", "/api/v1/price", json=body)
        return response is not None and response.status_code == 200 and response.json()["final_price"] == amount

    eventually(look, f"{product_id} is served at {amount}")


def is_applied(engine: Engine, event: dict[str, object]) -> None:
    """The event is accepted as soon as an API process answers, and then applied."""

    def publish() -> bool:
        path = "/api/v1/publish-market-event"
        response = get_or_none(engine, "POST", path, json=event)
        return response is not None and response.status_code == 200

    eventually(publish, "the event is accepted")

    def look() -> str | None:
        response = get_or_none(engine, "GET", f"/api/v1/market-events/{event['event_id']}")
        status = response.json().get("status") if response is not None else "received"
        return None if status in {"received", 503} else str(status)

    assert eventually(look, f"event {event['event_id']} settled") == "applied"
