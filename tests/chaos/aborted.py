"""Tasks are aborted while they wait, between two attempts, and while they run: they never run again."""

import time
from typing import Any

from tests.chaos.case import Case, Figure
from tests.chaos.runs import caught, slow_feed
from tests.chaos.scene import Scene

# Longer than a sweep takes to ring again, than the longest wait between attempts, and than a lease.
NEVER_S, QUICK_NEVER_S = 45.0, 8.0
_DECIDED = "SELECT count(*) AS n FROM price_history WHERE cause = 'task' AND cause_id = %s"


def _queued(scene: Scene) -> Figure:
    with scene.stage.apps.stopped("worker"):
        task_id = scene.recalculate()
        took = _abort(scene, task_id)
    return _never_again(scene, task_id, took, may_have_run=False)


def _between_retries(scene: Scene) -> Figure:
    engine = scene.stage.engine
    with scene.stage.feed.away():
        task_id = scene.recalculate()

        def waits() -> bool:
            task = engine.task(task_id)
            return bool(task["status"] == "queued" and task["attempts"] >= 2)

        scene.seconds_until(waits, "the task waits for its third attempt")
        took = _abort(scene, task_id)
    return _never_again(scene, task_id, took, may_have_run=False)


def _running(scene: Scene) -> Figure:
    with slow_feed(scene):
        task_id = caught(scene, 3).task_id
        took = _abort(scene, task_id)
    return _never_again(scene, task_id, took, may_have_run=True)


def _abort(scene: Scene, task_id: str) -> float:
    engine = scene.stage.engine
    answer = engine.http.delete(f"/api/v1/tasks/{task_id}", headers=engine.authorized)
    assert answer.status_code == 202, f"the abort was answered {answer.status_code}: {answer.text}"
    return scene.seconds_until(lambda: engine.task(task_id)["status"] == "aborted", "the task is aborted")


def _never_again(scene: Scene, task_id: str, took: float, may_have_run: bool) -> Figure:
    """Watch that nothing happens for a while; then another run has to do what the aborted one did not."""
    before = _seen(scene, task_id)
    misses = [] if may_have_run or not before[1] else [f"it changed {before[1]} prices"]
    time.sleep(QUICK_NEVER_S if scene.quick else NEVER_S)  # the absence of an event has no condition to wait for
    after = _seen(scene, task_id)
    misses += [] if after == before else [f"it ran again: {before} became {after}"]
    scene.ended(scene.recalculate())
    return Figure(f"aborted in {took:.1f} s after {before[1]} prices, and stayed so", misses)


def _seen(scene: Scene, task_id: str) -> tuple[dict[str, Any], int]:
    return scene.stage.engine.task(task_id), int(scene.stage.engine.sql(_DECIDED, task_id)[0]["n"])


BAR = "never runs again"
CASES = (
    Case("aborted-queued", "abort a task that waits for a worker", BAR, _queued),
    Case("aborted-between-retries", "abort a task between two attempts", BAR, _between_retries),
    Case("aborted-running", "abort a task that runs", BAR, _running, products=(10_000, 8)),
)
