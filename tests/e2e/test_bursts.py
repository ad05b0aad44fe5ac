"""Many events at once: decided at most once a second, the last one soon, none forgotten."""

import time
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from tests.support.engine import Engine
from tests.support.processes import Processes
from tests.support.waiting import eventually

HERE = "CHI"  # its multiplier is 1: what is published is what is asked
EVENTS = 2_000


def a_rival(product_id: str, price: str) -> dict[str, object]:
    return {"product_id": product_id, "competitor": "acme", "price": price, "currency": "USD"}


def waiting(engine: Engine, product_ids: list[str]) -> int:
    query = "SELECT count(*) AS n FROM market_events WHERE status = 'received' AND product_id = ANY(%s)"
    found = engine.sql(query, product_ids)
    return int(found[0]["n"])


def test_a_burst_for_one_product_is_decided_once_a_second_and_its_last_event_wins(engine: Engine) -> None:
    product_id = str(engine.put_product(strategy="match")["product_id"])
    engine.price(product_id)
    last = "89.50"
    begun, now = time.monotonic(), datetime.now(UTC)
    for number in range(EVENTS):
        price = f"{90 + number % 10}.{number % 100:02d}" if number < EVENTS - 1 else last
        engine.broadcast("competitor_price_changed", a_rival(product_id, price),
                         time=(now + timedelta(milliseconds=number)).isoformat())  # fmt: skip
    eventually(lambda: engine.price(product_id, user_location=HERE)["final_price"] == last, "the last one is served")
    eventually(lambda: waiting(engine, [product_id]) == 0, "all are settled")
    decisions = len(engine.history(product_id)) - 1
    assert decisions <= 2 + (time.monotonic() - begun)
    outcomes = engine.sql(
        "SELECT status, count(*) AS n FROM market_events WHERE product_id = %s GROUP BY status", product_id
    )
    assert sum(row["n"] for row in outcomes) == EVENTS
    assert {row["status"] for row in outcomes} <= {"applied", "superseded"}


def test_what_arrives_while_no_listener_is_there_is_settled_when_one_is(engine: Engine) -> None:
    products = [str(engine.put_product(strategy="match")["product_id"]) for _ in range(20)]
    with Processes(engine.home).stopped("listener"):
        for number in range(200):
            data = a_rival(products[number % len(products)], f"9{number % 10}.00")
            engine.publish("competitor_price_changed", data, event_id=str(uuid4()))
        assert waiting(engine, products) == 200
    eventually(lambda: waiting(engine, products) == 0, "all are settled")
