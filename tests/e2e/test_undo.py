"""Undo through the real processes, and who may."""

from typing import Any

from tests.support.engine import Engine
from tests.support.waiting import eventually


def undo(engine: Engine, **asked: str) -> str:
    """The plan of an undo, once it is ready."""
    answer = engine.http.post("/api/v1/undo", json=asked)
    assert answer.status_code == 202, answer.text
    plan_id = str(answer.json()["plan_id"])
    reached(engine, plan_id, "ready")
    return plan_id


def reached(engine: Engine, plan_id: str, status: str) -> dict[str, Any]:
    """The plan once it has this status."""

    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = engine.http.get(f"/api/v1/plans/{plan_id}").json()
        return found if found["status"] == status else None

    return eventually(look, f"plan {plan_id} {status}")


def test_an_event_is_undone(engine: Engine) -> None:
    product_id = engine.put_product(strategy="match")["product_id"]
    first = engine.price(product_id)["final_price"]
    offer: dict[str, object] = {"product_id": product_id, "competitor": "acme", "price": "90.00", "currency": "USD"}
    event_id = engine.publish("competitor_price_changed", offer)["event_id"]
    engine.settled(event_id)
    moved = eventually(lambda: (now := engine.price(product_id)["final_price"]) != first and now, "the price moves")
    plan_id = undo(engine, event=event_id)
    [item] = engine.http.get(f"/api/v1/plans/{plan_id}/items").json()["items"]
    assert (item["product_id"], item["new_price"], item["undo"]) == (product_id, "100.00", "restored")
    assert engine.price(product_id)["final_price"] == moved
    engine.http.post(f"/api/v1/plans/{plan_id}/apply")
    reached(engine, plan_id, "applied")
    eventually(lambda: engine.price(product_id)["final_price"] == first, "the former price is served")


def test_what_cannot_be_undone_is_refused(engine: Engine) -> None:
    def refused(**asked: str) -> tuple[int, str]:
        answer = engine.http.post("/api/v1/undo", json=asked)
        return answer.status_code, answer.json()["type"].rpartition(":")[2]

    assert refused() == (422, "invalid-input")
    assert refused(event="no-such-event") == (404, "not-found")
    assert refused(since="2001-01-01T00:00:00Z") == (422, "no-history")
    assert refused(since="2101-01-01T00:00:00Z") == (422, "invalid-input")


def test_an_undo_needs_the_scope_operate(engine: Engine) -> None:
    made = engine.http.post("/api/v1/keys", json={"name": "reader", "scopes": ["catalogue:read"]}).json()
    reader = {"authorization": f"Bearer {made['key']}"}
    answer = engine.anonymous.post("/api/v1/undo", json={"event": "e-1"}, headers=reader)
    assert (answer.status_code, "operate" in answer.json()["detail"]) == (403, True)
