"""A message that kills whoever works on it."""

import threading

from tests.chaos.case import Case, Figure
from tests.chaos.scene import Scene
from tests.support.trap import Fate, Trap, process_at

ATTEMPTS = 3
MANY = 50
WITHIN_S = 180.0
BAR = f"quarantined after {ATTEMPTS} attempts, others go on"


def _task(scene: Scene) -> Figure:
    """A task whose product kills the worker that has it in hand."""
    engine, feed = scene.stage.engine, scene.stage.feed
    product_id = str(engine.put_product(product_id=f"{scene.run}-own", strategy="list_price")["product_id"])
    kills, killing = 0, threading.Lock()

    def asked(port: int, product_ids: list[str]) -> None:
        nonlocal kills
        with killing:
            process = process_at(port, scene.stage.apps.family("worker")) if product_id in product_ids else None
            if process:
                process.kill()
                kills += 1

    feed.asked = asked
    try:
        task_id = engine.recalculate(product_ids=[product_id])
        took = scene.seconds_until(lambda: engine.task(task_id)["status"] == "failed", "the task has failed", WITHIN_S)
    finally:
        feed.asked = lambda port, product_ids: None
    error = engine.task(task_id)["error"]
    scene.whole()
    scene.ended(scene.recalculate())
    return _figure(kills, took, f"{error['type']}: {error['message']}")


def _event(scene: Scene) -> Figure:
    """An event whose product's sheet kills the worker that puts it into Redis."""
    engine = scene.stage.engine
    product_id = str(engine.put_product(product_id=f"{scene.run}-own", strategy="match")["product_id"])

    def kill(port: int) -> bool:
        process = process_at(port, scene.stage.apps.family("worker"))
        if process:
            process.kill()
        return process is not None

    put = (b"EVAL", f"pricing:sheet:{product_id}\r\n".encode())
    with scene.stage.to_redis.trap(Trap(put, Fate.CUT, times=MANY, act=kill)) as trap:
        rival: dict[str, object] = {"product_id": product_id, "competitor": "acme", "price": "95", "currency": "USD"}
        event_id = engine.publish("competitor_price_changed", rival)["event_id"]
        scene.expected_events[event_id] = "failed"
        path = f"/api/v1/market-events/{event_id}"
        took = scene.seconds_until(
            lambda: engine.http.get(path).json()["status"] == "failed", "it has failed", WITHIN_S
        )
        kills = len(trap.sprung)
    scene.whole()
    return _figure(kills, took, engine.http.get(path).json()["reason"])


def _figure(kills: int, took: float, why: str) -> Figure:
    misses = [] if kills == ATTEMPTS else [f"{kills} workers were killed, the bar is {ATTEMPTS}"]
    misses += [] if "uarantin" in why else [f"its error does not say that it is quarantined: {why}"]
    return Figure(f"quarantined after {kills} kills, in {took:.0f} s", misses)


CASES = (
    Case("poison-task", "a task that kills its worker", BAR, _task),
    Case("poison-event", "an event that kills its worker", BAR, _event, limit_s=360),
)
