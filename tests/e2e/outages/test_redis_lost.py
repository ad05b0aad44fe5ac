"""Without Redis, or with an empty one, prices are answered and nothing accepted is lost."""

from tests.e2e.outages.probes import an_event, get_or_none, is_applied, is_served, post, price
from tests.support.engine import Engine
from tests.support.processes import Processes
from tests.support.waiting import eventually


def test_without_redis_prices_come_from_the_database_and_events_wait(engine: Engine, processes: Processes) -> None:
    products = [str(engine.put_product(strategy="match")["product_id"]) for _ in range(3)]
    for product_id in products:
        engine.price(product_id)
    changed = products[0]
    event = an_event(changed)
    with processes.stopped("redis"):
        answers = [price(engine, product_id) for product_id in products * 7]
        assert {answer.status_code for answer in answers} == {200}
        # Each process holds what it read for a second by itself.
        assert "database" in {answer.json()["source"] for answer in answers}
        ready = get_or_none(engine, "GET", "/health/ready")
        assert ready is not None
        assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
        states = {name: seen["status"] for name, seen in ready.json()["dependencies"].items()}
        assert states == {"postgres": "up", "redis": "down"}

        published = post(engine, "/api/v1/publish-market-event", event)
        assert (published.status_code, published.json()["status"]) == (200, "stored")
        again = post(engine, "/api/v1/publish-market-event", event)
        assert (again.status_code, again.json()["status"]) == (200, "duplicate")
        queued = post(engine, "/api/v1/recalculate", {"product_ids": products})
        assert queued.status_code == 200
        # A write by the API has its new price at once: what answers now is the database.
        written = {"product_id": products[1], "name": "Test", "currency": "USD", "base_price": "120.00"}
        put = get_or_none(engine, "PUT", f"/api/v1/products/{products[1]}", json=written, headers=engine.authorized)
        assert put is not None
        assert put.status_code == 200
        is_served(engine, products[1], "120.00")

    assert engine.settled(str(event["event_id"]))["status"] == "applied"
    assert engine.ended(queued.json()["task_id"])["status"] == "succeeded"
    is_served(engine, changed, "95.00")
    is_served(engine, products[1], "120.00")
    eventually(lambda: price(engine, changed).json()["source"] == "cache", "the price is cached again")


def test_after_a_flush_prices_are_answered_and_cached_again(engine: Engine) -> None:
    product_id = str(engine.put_product(strategy="match")["product_id"])
    assert [price(engine, product_id).json()["source"] for _ in range(2)] == ["database", "cache"]
    engine.redis.flushall()
    eventually(lambda: price(engine, product_id).json()["source"] == "database", "no process holds it by itself")
    eventually(lambda: engine.redis.exists(f"pricing:sheet:{product_id}"), "Redis has it again")
    is_applied(engine, an_event(product_id))
    is_served(engine, product_id, "95.00")


def test_a_run_whose_redis_is_flushed_in_its_middle_ends_well(engine: Engine) -> None:
    product_id = str(engine.put_product(strategy="match")["product_id"])
    with engine.locked(product_id):
        task_id = engine.recalculate(product_ids=[product_id])
        eventually(lambda: engine.task(task_id)["status"] == "running", "the run is under way")
        engine.redis.flushall()
    assert engine.ended(task_id)["status"] == "succeeded"
