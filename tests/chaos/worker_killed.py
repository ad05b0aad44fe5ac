"""kill -9 a worker in the middle of a run, again and again."""

import psutil

from tests.chaos.case import Case, Figure, at_most
from tests.chaos.context import Context
from tests.chaos.runs import caught, slow_feed
from tests.support.waiting import eventually

CONTINUED_S = 20.0
PART_OF_A_RUN = (1, 4)


def _kill_workers(context: Context) -> Figure:
    worst = 0.0
    apps = context.environment.apps
    size = len(apps.family("worker"))
    for _ in context.times(20, quick=3):
        with slow_feed(context):
            run = caught(context, context.rng.randint(*PART_OF_A_RUN), psutil.Process.kill)
            took = context.seconds_until(
                lambda run=run: context.has_price(run.product_id, run.task_id),  # type: ignore[misc]
                "the part of the run that the killed worker had",
            )
        worst = max(worst, took)
        context.ended(run.task_id)
        eventually(lambda: apps.runs("worker", size), "the workers are whole again")
    return Figure(f"continued in {worst:.1f} s at worst", at_most("continued", worst, CONTINUED_S))


CASES = (
    Case(
        "worker-killed",
        "kill -9 a worker in a run, 20 times",
        "continued ≤ 20 s, nothing lost or doubled",
        _kill_workers,
        products=(10_000, 8),
        limit_s=1_200,
    ),
)
