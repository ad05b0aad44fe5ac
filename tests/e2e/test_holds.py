"""Through the real processes: prices go on by themselves, a target too far away waits, and a person lets it go."""

from decimal import Decimal
from typing import Any

from shared.access.keys import digest_of
from tests.support.engine import Engine
from tests.support.waiting import eventually

HERE = "CHI"  # its multiplier is 1: what is published is what is asked


def offer(engine: Engine, product_id: str, price: str) -> None:
    data: dict[str, object] = {"product_id": product_id, "competitor": "acme", "price": price, "currency": "USD"}
    assert engine.settled(engine.publish("competitor_price_changed", data)["event_id"])["status"] == "applied"


def asked(engine: Engine, product_id: str) -> str:
    return str(engine.price(product_id, user_location=HERE)["final_price"])


def held(engine: Engine, product_id: str) -> list[dict[str, Any]]:
    answer = engine.http.get("/api/v1/holds", params={"product_id": product_id}, headers=engine.authorized)
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def test_a_price_goes_down_by_itself_and_the_way_up_waits_for_a_person(engine: Engine) -> None:
    product_id = str(engine.put_product(strategy="match")["product_id"])
    offer(engine, product_id, "50.00")
    eventually(lambda: asked(engine, product_id) == "50.00", "the price goes on to its target")
    assert {change["cause"] for change in engine.history(product_id)[:-2]} == {"clock"}

    offer(engine, product_id, "110.00")
    [hold] = held(engine, product_id)
    assert (Decimal(hold["target"]), hold["code"], asked(engine, product_id)) == (Decimal(110), "hold_above", "50.00")
    [key] = engine.sql("SELECT id FROM api_keys WHERE key_hash = %s", digest_of(engine.key))
    assert hold["key_ids"] == [key["id"]]
    path, body = f"/api/v1/holds/{hold['hold_id']}/approve", {"reason": "the market has moved"}
    answer = engine.http.post(path, json=body, headers=engine.authorized)
    assert (answer.status_code, answer.json()) == (200, {"answered": 1, "failed": 0, "left": 0})
    assert (asked(engine, product_id), held(engine, product_id)) == ("110.00", [])
    assert engine.http.post(path, json=body, headers=engine.authorized).status_code == 409


def test_while_the_breaker_is_open_the_engine_is_ready_and_a_person_resets_it(engine: Engine) -> None:
    def automation() -> tuple[int, str]:
        answer = engine.http.get("/health/ready")
        return answer.status_code, answer.json()["automation"]

    product_id = str(engine.put_product(strategy="match")["product_id"])
    assert automation() == (200, "on")
    engine.sql("UPDATE breaker SET is_open = true")
    try:
        assert automation() == (200, "stopped")
        offer(engine, product_id, "95.00")
        assert ([hold["code"] for hold in held(engine, product_id)], asked(engine, product_id)) == (
            ["breaker"],
            "100.00",
        )
    finally:
        body = {"reason": "the feed is corrected"}
        answer = engine.http.post("/api/v1/breaker/reset", json=body, headers=engine.authorized)
    assert (answer.status_code, answer.json()["is_open"], answer.json()["reason"]) == (200, False, body["reason"])
    assert engine.http.post("/api/v1/breaker/reset", json=body, headers=engine.authorized).status_code == 409
    assert automation() == (200, "on")
    eventually(lambda: asked(engine, product_id) == "95.00", "the held product is decided again")
    assert held(engine, product_id) == []
