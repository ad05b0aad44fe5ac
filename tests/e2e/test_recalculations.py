"""Recalculations run, and requests made meanwhile are merged into one follow-up."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

from tests.e2e.recalculation_steps import a_busy_run, a_product, asked, knows
from tests.support.engine import Engine
from tests.support.feed import FakeFeed
from tests.support.waiting import eventually


def test_a_recalculation_is_queued_and_ends_with_all_of_its_products_done(engine: Engine) -> None:
    category = uuid4().hex
    for _ in range(3):
        a_product(engine, category=category)
    response = engine.http.post("/api/v1/recalculate", json={"category": category}, headers=engine.authorized)
    queued = response.json()
    assert (response.status_code, queued["status"]) == (200, "queued")

    task = engine.ended(queued["task_id"])
    assert (task["status"], task["kind"], task["attempts"]) == ("succeeded", "recalculation", 1)
    assert task["progress"] == {"done": 3, "total": 3}
    assert task["result"] == {"recalculated": 3, "changed": 0}
    assert task["scope"] == {"categories": [category]}
    assert task["trace_id"] == queued["trace_id"]
    assert task["error"] is None
    assert task["created_at"] <= task["started_at"] <= task["finished_at"]


def test_a_recalculation_of_everything_has_the_whole_catalogue(engine: Engine) -> None:
    products = engine.sql("SELECT count(*) AS n FROM products")[0]["n"]
    task = engine.ended(engine.recalculate())
    assert (task["status"], task["scope"]) == ("succeeded", {})
    assert task["progress"] == {"done": products, "total": products}


def test_what_the_feed_quotes_becomes_a_signal_and_a_price(engine: Engine, feed: FakeFeed) -> None:
    product_id = a_product(engine)
    version = engine.price(product_id)["version"]
    knows(feed, product_id, "94.00")
    task = engine.ended(engine.recalculate(product_ids=[product_id]))
    assert task["result"] == {"recalculated": 1, "changed": 1}

    assert asked(engine, product_id) == "94.00"
    newest = engine.history(product_id)[0]
    assert (newest["cause"], newest["cause_id"]) == ("task", task["task_id"])
    assert (newest["trace_id"], newest["version"]) == (task["trace_id"], version + 1)
    answer = engine.http.get(f"/api/v1/products/{product_id}").json()
    assert [(signal["kind"], signal["source"]) for signal in answer["catalogue"]["signals"]] == [("competitor", "acme")]
    assert [quote["price"] for quote in answer["market_data"]] == ["94.00"]


def test_recalculations_asked_for_while_one_runs_are_merged_into_one_follow_up(engine: Engine, feed: FakeFeed) -> None:
    category = uuid4().hex
    one, other = a_product(engine, category=category), a_product(engine)
    with a_busy_run(engine) as running:
        waiting = [engine.recalculate(category=category), engine.recalculate(product_ids=[other])]
        skipped = [engine.ended(task_id) for task_id in waiting]
        assert [task["status"] for task in skipped] == ["skipped", "skipped"]
        (follow_up_id,) = {task["result"]["merged_into"] for task in skipped}
        follow_up = engine.task(follow_up_id)
        assert follow_up["status"] == "queued"
        assert follow_up["scope"] == {"product_ids": [other], "categories": [category]}
        assert engine.task(running)["status"] == "running"
        knows(feed, one, "95.00")
        knows(feed, other, "90.00")

    assert engine.ended(running)["status"] == "succeeded"
    follow_up = engine.ended(follow_up_id)
    assert (follow_up["status"], follow_up["progress"]) == ("succeeded", {"done": 2, "total": 2})
    assert all(follow_up["started_at"] > task["created_at"] for task in skipped)
    assert (asked(engine, one), asked(engine, other)) == ("95.00", "90.00")


def publish_nothing_but_the_request(engine: Engine) -> dict[str, Any]:
    """Publish without a body; the event once it is settled."""
    response = engine.http.post("/api/v1/publish-market-event", headers=engine.authorized)
    assert response.status_code == 200, response.text
    return engine.settled(response.json()["event_id"])


def test_an_event_without_a_type_is_refused_and_recalculates_nothing(engine: Engine) -> None:
    before = engine.http.get("/api/v1/tasks?limit=1").json()["items"]
    for body in ({}, {"data": {"category": "toys"}}):
        refused = engine.http.post("/api/v1/publish-market-event", json=body)
        assert (refused.status_code, refused.json()["detail"]) == (422, "the field `type` is missing")
    assert engine.http.get("/api/v1/tasks?limit=1").json()["items"] == before


def included_in(engine: Engine, task: dict[str, Any]) -> dict[str, Any]:
    """The run that did what a task asked for: itself, or the one that it was merged into."""
    return task if task["status"] == "succeeded" else engine.ended(task["result"]["merged_into"])


def test_two_requests_for_everything_at_once_end_in_one_run_and_one_skipped(engine: Engine, feed: FakeFeed) -> None:
    """The first run is held busy, so that it cannot be over before the second request is there."""
    products, locked = {a_product(engine): "95.00", a_product(engine): "90.00"}, a_product(engine)

    def learn_and_publish(product_id: str) -> dict[str, Any]:
        knows(feed, product_id, products[product_id])
        return publish_nothing_but_the_request(engine)

    with ThreadPoolExecutor(len(products)) as pool:
        with engine.locked(locked):
            events = list(pool.map(learn_and_publish, products))
            assert {event["status"] for event in events} == {"applied"}
            ids = [event["task_id"] for event in events]

            def look() -> dict[str, Any] | None:
                tasks = [engine.task(task_id) for task_id in ids]
                return next((task for task in tasks if task["status"] == "skipped"), None)

            skipped = eventually(look, "one of the two skipped")
        tasks = [engine.ended(task_id) for task_id in ids]

    assert sorted(task["status"] for task in tasks) == ["skipped", "succeeded"]
    run = included_in(engine, skipped)
    assert run["status"] == "succeeded"
    assert run["started_at"] > skipped["created_at"]
    assert {product_id: asked(engine, product_id) for product_id in products} == products


def test_every_request_is_included_in_a_run_that_started_after_it(engine: Engine, feed: FakeFeed) -> None:
    products = {a_product(engine): f"{price}.00" for price in range(90, 96)}

    def learn_and_publish(product_id: str) -> dict[str, Any]:
        knows(feed, product_id, products[product_id])
        return engine.ended(publish_nothing_but_the_request(engine)["task_id"])

    with ThreadPoolExecutor(len(products)) as pool:
        tasks = list(pool.map(learn_and_publish, products))
    assert {task["status"] for task in tasks} <= {"succeeded", "skipped"}
    runs = [included_in(engine, task) for task in tasks]
    assert {run["status"] for run in runs} == {"succeeded"}
    assert all(run["started_at"] > task["created_at"] for run, task in zip(runs, tasks, strict=True))
    assert {product_id: asked(engine, product_id) for product_id in products} == products
