"""Background jobs, on the private stack."""

from typing import Any

from shared.jobs.tasks import ENDED
from tests.support.private_stack import PrivateStack
from tests.support.waiting import eventually
from tests.verify.checklist import Check, timed
from tests.verify.events import competitor


def everything(private: PrivateStack) -> str:
    task, took_ms = timed(lambda: private.engine.ended(private.engine.recalculate()))
    done, total = task["progress"]["done"], task["progress"]["total"]
    assert (task["status"], done) == ("succeeded", total), task
    return f"{done} products in {took_ms:.0f} ms, {task['result']['changed']} prices changed"


def retry(private: PrivateStack) -> str:
    engine, feed = private.engine, private.feed
    product_id = str(engine.put_product(strategy="match")["product_id"])
    with feed.away():
        task_id = engine.recalculate(product_ids=[product_id])
        waiting = eventually(lambda: _after_attempts(engine.task(task_id), 2), "two attempts")
        feed.quotes[product_id] = [competitor(product_id)]
    task = engine.ended(task_id)
    assert task["status"] == "succeeded", task
    price = engine.price(product_id, user_location="CHI")["final_price"]
    assert price == "95.00", f"the price is {price}"
    return f"{waiting['error']['type']} while it was away; {task['status']} in attempt {task['attempts']}"


def two_at_once(private: PrivateStack) -> str:
    """The first one is held busy by a locked product, so that it cannot be over before the second one comes."""
    engine = private.engine
    product_id = str(engine.put_product()["product_id"])
    with engine.locked(product_id):
        first = engine.recalculate(product_ids=[product_id])
        eventually(lambda: engine.task(first)["status"] == "running", "the first one runs")
        second = engine.ended(engine.recalculate(product_ids=[product_id]))
        assert second["status"] == "skipped", second
        assert engine.task(first)["status"] == "running"
    run, follow_up = engine.ended(first), engine.ended(second["result"]["merged_into"])
    assert (run["status"], follow_up["status"]) == ("succeeded", "succeeded"), (run, follow_up)
    return f"one {run['status']}, one {second['status']}, merged into a follow-up that {follow_up['status']}"


def abort(private: PrivateStack) -> str:
    engine = private.engine
    product_id = str(engine.put_product()["product_id"])
    with engine.locked(product_id):
        task_id = engine.recalculate(product_ids=[product_id])
        eventually(lambda: engine.task(task_id)["status"] == "running", "it runs")
        answer = engine.http.delete(f"/api/v1/tasks/{task_id}", headers=engine.authorized)
        assert answer.status_code == 202, answer.text
    task, took_ms = timed(lambda: engine.ended(task_id))
    assert task["status"] == "aborted", task
    again = engine.http.delete(f"/api/v1/tasks/{task_id}", headers=engine.authorized).status_code
    assert again == 409, f"aborting what has ended answers {again}"
    return f"{task['status']} {took_ms:.0f} ms after its step, then 409"


def _after_attempts(task: dict[str, Any], attempts: int) -> dict[str, Any] | None:
    assert task["status"] not in ENDED, task
    return task if task["attempts"] >= attempts and task["error"] else None


CHECKS = (
    Check("a recalculation of everything", everything),
    Check("the feed goes away: tried again, then done", retry),
    Check("two recalculations at once: one run, one skipped", two_at_once),
    Check("the abort of a running task", abort),
)
