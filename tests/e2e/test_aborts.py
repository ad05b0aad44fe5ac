"""A task that has not ended is aborted, and never runs again."""

from uuid import uuid4

import pytest

from tests.e2e.recalculation_steps import a_busy_run, a_product, abort, asked, knows, no_message_is_left, reaches
from tests.support.engine import Engine
from tests.support.feed import FakeFeed
from tests.support.waiting import eventually


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
    """A caller was answered that its request is included. The abort of another caller does not change that."""
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
    assert engine.anonymous.delete(path).status_code == 401
