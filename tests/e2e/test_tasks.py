"""Background jobs: run, merged, retried while the feed is away, aborted."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
import redis

from tests.support.engine import ENDED, Engine
from tests.support.feed import FakeFeed
from tests.support.waiting import eventually

HERE = "CHI"  # its multiplier is 1: what is published is what is asked
ATTEMPTS = 6  # the first one and five retries


def a_product(engine: Engine, **fields: object) -> str:
    """A product that follows its rivals, from a list price of 100."""
    return str(engine.put_product(strategy="match", **fields)["product_id"])


def knows(feed: FakeFeed, product_id: str, price: str) -> None:
    """The feed has a rival's price for the product from now on."""
    quote: dict[str, object] = {"product_id": product_id, "competitor": "acme", "price": price, "currency": "USD"}
    feed.quotes[product_id] = [quote]


def asked(engine: Engine, product_id: str) -> str:
    return str(engine.price(product_id, user_location=HERE)["final_price"])


def abort(engine: Engine, task_id: str) -> int:
    return engine.http.delete(f"/api/v1/tasks/{task_id}", headers=engine.authorized).status_code


def reaches(engine: Engine, task_id: str, status: str, attempts: int = 0) -> dict[str, Any]:
    """The task once it has this status after at least so many attempts; fails when it ends otherwise."""

    def look() -> dict[str, Any] | None:
        task = engine.task(task_id)
        if task["status"] == status and task["attempts"] >= attempts:
            return task
        assert task["status"] not in ENDED, task
        return None

    return eventually(look, f"task {task_id} {status} after {attempts} attempts")


def no_message_is_left(engine: Engine) -> None:
    """Every message was taken and done with, delayed ones too: what has not run until now never will."""
    with redis.Redis.from_url(engine.settings.redis_for("broker")) as queue:
        hashes = ("pricing:dramatiq:tasks.msgs", "pricing:dramatiq:tasks.DQ.msgs")
        eventually(lambda: not any(queue.hlen(name) for name in hashes), "no message is left")


@contextmanager
def a_busy_run(engine: Engine) -> Iterator[str]:
    """A recalculation that is running for as long as the block lasts: one of its products is locked."""
    product_id = a_product(engine)
    with engine.locked(product_id):
        task_id = engine.recalculate(product_ids=[product_id])
        reaches(engine, task_id, "running")
        yield task_id


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


def test_a_task_is_queued_while_the_feed_is_away_and_succeeds_when_it_is_back(engine: Engine, feed: FakeFeed) -> None:
    product_id = a_product(engine)
    with feed.away():
        task_id = engine.recalculate(product_ids=[product_id])
        first = reaches(engine, task_id, "queued", attempts=1)
        later = reaches(engine, task_id, "queued", attempts=first["attempts"] + 1)
        assert later["error"]["type"] == "ExternalAPIError"
        assert "cannot be reached" in later["error"]["message"]
        assert (later["finished_at"], later["result"]) == (None, None)
        knows(feed, product_id, "95.00")

    task = engine.ended(task_id)
    assert (task["status"], task["error"]) == ("succeeded", None)
    assert task["attempts"] > later["attempts"]
    assert asked(engine, product_id) == "95.00"


def test_a_task_fails_with_its_error_when_the_feed_stays_away(engine: Engine, feed: FakeFeed) -> None:
    product_id = a_product(engine)
    with feed.away():
        task = engine.ended(engine.recalculate(product_ids=[product_id]))
    assert (task["status"], task["attempts"]) == ("failed", ATTEMPTS)
    assert task["error"]["type"] == "ExternalAPIError"
    assert task["progress"] == {"done": 0, "total": 1}
    # The lock went with it: the next one runs.
    assert engine.ended(engine.recalculate(product_ids=[product_id]))["status"] == "succeeded"


def test_a_feed_that_does_not_answer_is_a_timeout_of_its_own(engine: Engine, feed: FakeFeed) -> None:
    product_id = a_product(engine)
    with feed.held():
        task_id = engine.recalculate(product_ids=[product_id])
        task = reaches(engine, task_id, "queued", attempts=1)
        assert task["error"]["type"] == "ExternalAPITimeout"
    assert engine.ended(task_id)["status"] == "succeeded"


def test_prices_are_served_and_events_applied_while_a_recalculation_waits(engine: Engine, feed: FakeFeed) -> None:
    product_id = a_product(engine)
    with feed.away():
        task_id = engine.recalculate()
        reaches(engine, task_id, "queued", attempts=1)
        data: dict[str, object] = {"product_id": product_id, "competitor": "acme", "price": "95", "currency": "USD"}
        published = engine.publish("competitor_price_changed", data)
        assert engine.settled(published["event_id"])["status"] == "applied"
        assert asked(engine, product_id) == "95.00"
        assert abort(engine, task_id) == 202


def test_a_task_that_waits_for_its_next_attempt_is_aborted_and_never_runs_again(engine: Engine, feed: FakeFeed) -> None:
    product_id = a_product(engine)
    knows(feed, product_id, "95.00")
    with feed.away():
        task_id = engine.recalculate(product_ids=[product_id])
        reaches(engine, task_id, "queued", attempts=1)
        assert abort(engine, task_id) == 202
        aborted = engine.ended(task_id)
    assert aborted["status"] == "aborted"
    assert abort(engine, task_id) == 409
    no_message_is_left(engine)
    assert engine.task(task_id) == aborted
    assert asked(engine, product_id) == "100.00"


def test_a_running_task_is_aborted_and_never_runs_again(engine: Engine) -> None:
    with a_busy_run(engine) as task_id:
        assert abort(engine, task_id) == 202
    aborted = engine.ended(task_id)
    assert (aborted["status"], aborted["attempts"]) == ("aborted", 1)
    assert abort(engine, task_id) == 409
    no_message_is_left(engine)
    assert engine.task(task_id) == aborted


def test_a_task_that_waits_for_the_feed_to_answer_is_aborted(engine: Engine, feed: FakeFeed) -> None:
    product_id = a_product(engine)
    knows(feed, product_id, "95.00")
    with feed.held():
        task_id = engine.recalculate(product_ids=[product_id])
        eventually(lambda: any(product_id in asked["product_ids"] for _, asked in feed.requests), "the feed was asked")
        assert abort(engine, task_id) == 202
        aborted = engine.ended(task_id)
    assert aborted["status"] == "aborted"
    no_message_is_left(engine)
    assert engine.task(task_id) == aborted
    assert asked(engine, product_id) == "100.00"


def test_what_was_merged_into_an_aborted_follow_up_is_done_all_the_same(engine: Engine, feed: FakeFeed) -> None:
    """Who asked was told that its request is included; an abort by somebody else takes that back from nobody."""
    product_id = a_product(engine)
    knows(feed, product_id, "95.00")
    with a_busy_run(engine):
        task_id = engine.recalculate(product_ids=[product_id])
        follow_up_id = engine.ended(task_id)["result"]["merged_into"]
        assert abort(engine, follow_up_id) == 202
        assert engine.task(follow_up_id)["status"] == "aborted"
        later_id = engine.task(task_id)["result"]["merged_into"]
        assert later_id != follow_up_id
    assert engine.ended(later_id)["status"] == "succeeded"
    assert asked(engine, product_id) == "95.00"


@pytest.mark.parametrize("ended", ["succeeded", "skipped"])
def test_what_has_ended_is_not_aborted(engine: Engine, ended: str) -> None:
    task_id = engine.recalculate(product_ids=[a_product(engine)])
    if ended == "skipped":
        engine.ended(task_id)
        with a_busy_run(engine):
            task_id = engine.recalculate(product_ids=[a_product(engine)])
            engine.ended(task_id)
    task = engine.ended(task_id)
    assert task["status"] == ended
    response = engine.http.delete(f"/api/v1/tasks/{task_id}", headers=engine.authorized)
    assert (response.status_code, response.json()["type"]) == (409, "urn:pricing:already-ended")
    assert ended in response.json()["detail"]
    assert engine.task(task_id) == task


def test_an_unknown_task_is_not_found(engine: Engine) -> None:
    path = f"/api/v1/tasks/{uuid4()}"
    assert engine.http.get(path).status_code == 404
    assert engine.http.delete(path, headers=engine.authorized).status_code == 404
    assert engine.http.delete(path).status_code == 401
