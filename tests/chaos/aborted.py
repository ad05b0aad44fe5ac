"""Tasks are aborted while they wait, between two attempts, and while they run: they never run again."""

import time
from typing import Any

from tests.chaos.case import Case, Figure
from tests.chaos.context import Context
from tests.chaos.runs import caught, slow_feed

# Longer than a sweep takes to ring again, than the longest wait between attempts, and than a lease.
NEVER_S, QUICK_NEVER_S = 45.0, 8.0
_DECIDED = "SELECT count(*) AS n FROM price_history WHERE cause = 'task' AND cause_id = %s"


def _queued(context: Context) -> Figure:
    with context.environment.apps.stopped("worker"):
        task_id = context.recalculate()
        took = _abort(context, task_id)
    return _never_again(context, task_id, took, may_have_run=False)


def _between_retries(context: Context) -> Figure:
    engine = context.environment.engine
    with context.environment.feed.away():
        task_id = context.recalculate()

        def waits() -> bool:
            task = engine.task(task_id)
            return bool(task["status"] == "queued" and task["attempts"] >= 2)

        context.seconds_until(waits, "the task waits for its third attempt")
        took = _abort(context, task_id)
    return _never_again(context, task_id, took, may_have_run=False)


def _running(context: Context) -> Figure:
    with slow_feed(context):
        task_id = caught(context, 3).task_id
        took = _abort(context, task_id)
    return _never_again(context, task_id, took, may_have_run=True)


def _abort(context: Context, task_id: str) -> float:
    engine = context.environment.engine
    answer = engine.http.delete(f"/api/v1/tasks/{task_id}", headers=engine.authorized)
    assert answer.status_code == 202, f"the abort was answered {answer.status_code}: {answer.text}"
    return context.seconds_until(lambda: engine.task(task_id)["status"] == "aborted", "the task is aborted")


def _never_again(context: Context, task_id: str, took: float, may_have_run: bool) -> Figure:
    """Watch that nothing happens for a while; then another run has to do what the aborted one did not."""
    before = _seen(context, task_id)
    misses = [] if may_have_run or not before[1] else [f"it changed {before[1]} prices"]
    time.sleep(QUICK_NEVER_S if context.quick else NEVER_S)  # the absence of an event has no condition to wait for
    after = _seen(context, task_id)
    misses += [] if after == before else [f"it ran again: {before} became {after}"]
    context.ended(context.recalculate())
    return Figure(f"aborted in {took:.1f} s after {before[1]} prices, and stayed so", misses)


def _seen(context: Context, task_id: str) -> tuple[dict[str, Any], int]:
    return context.environment.engine.task(task_id), int(context.environment.engine.sql(_DECIDED, task_id)[0]["n"])


BAR = "never runs again"
CASES = (
    Case("aborted-queued", "abort a task that waits for a worker", BAR, _queued),
    Case("aborted-between-retries", "abort a task between two attempts", BAR, _between_retries),
    Case("aborted-running", "abort a task that runs", BAR, _running, products=(10_000, 8)),
)
