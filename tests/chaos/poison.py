"""A message that crashes whoever works on it."""

import threading

from tests.chaos.case import Case, Figure
from tests.chaos.context import Context
from tests.support.trap import Fate, Trap, process_at

ATTEMPTS = 3
MANY = 50
WITHIN_S = 180.0
BAR = f"quarantined after {ATTEMPTS} attempts, others go on"


def _task(context: Context) -> Figure:
    """A task whose product crashes the worker that has it in hand."""
    engine, feed = context.environment.engine, context.environment.feed
    product_id = str(engine.put_product(product_id=f"{context.run}-own", strategy="list_price")["product_id"])
    crashes, killing = 0, threading.Lock()

    def asked(port: int, product_ids: list[str]) -> None:
        nonlocal crashes
        with killing:
            process = process_at(port, context.environment.apps.family("worker")) if product_id in product_ids else None
            if process:
                process.kill()
                crashes += 1

    feed.asked = asked
    try:
        task_id = engine.recalculate(product_ids=[product_id])
        took = context.seconds_until(
            lambda: engine.task(task_id)["status"] == "failed", "the task has failed", WITHIN_S
        )
    finally:
        feed.asked = lambda port, product_ids: None
    error = engine.task(task_id)["error"]
    context.whole()
    context.ended(context.recalculate())
    return _figure(crashes, took, f"{error['type']}: {error['message']}")


def _event(context: Context) -> Figure:
    """An event whose product's sheet crashes the worker that puts it into Redis."""
    engine = context.environment.engine
    product_id = str(engine.put_product(product_id=f"{context.run}-own", strategy="match")["product_id"])

    path = ""

    def kill(port: int) -> bool:
        process = process_at(port, context.environment.apps.family("worker"))
        # Without the event the sheet crashes nobody.
        if process is None or (path and engine.http.get(path).json()["status"] == "failed"):
            return False
        process.kill()
        return True

    put = (b"EVAL", f"pricing:sheet:{product_id}\r\n".encode())
    with context.environment.to_redis.trap(Trap(put, Fate.CUT, times=MANY, act=kill)) as trap:
        competitor: dict[str, object] = {
            "product_id": product_id,
            "competitor": "acme",
            "price": "95",
            "currency": "USD",
        }
        event_id = engine.publish("competitor_price_changed", competitor)["event_id"]
        context.expected_events[event_id] = "failed"
        path = f"/api/v1/market-events/{event_id}"
        took = context.seconds_until(
            lambda: engine.http.get(path).json()["status"] == "failed", "it has failed", WITHIN_S
        )
        crashes = len(trap.sprung)
    context.whole()
    return _figure(crashes, took, engine.http.get(path).json()["reason"])


def _figure(crashes: int, took: float, why: str) -> Figure:
    misses = [] if crashes == ATTEMPTS else [f"{crashes} workers were killed, the bar is {ATTEMPTS}"]
    misses += [] if "uarantin" in why else [f"its error does not say that it is quarantined: {why}"]
    return Figure(f"quarantined after {crashes} crashes, in {took:.0f} s", misses)


CASES = (
    Case("poison-task", "a task that crashes its worker", BAR, _task),
    Case("poison-event", "an event that crashes its worker", BAR, _event, limit_s=360),
)
