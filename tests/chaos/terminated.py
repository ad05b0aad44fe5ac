"""SIGTERM in the middle of the work, as at a deployment: what is in hand is finished or handed back."""

import time
from collections.abc import Sequence
from contextlib import nullcontext

from tests.chaos.case import Case, Figure, at_most
from tests.chaos.context import Context
from tests.chaos.reader import Read
from tests.chaos.runs import caught, slow_feed
from tests.support.processes import is_alive
from tests.support.waiting import eventually

GONE_S = 20.0


def _terminate(context: Context) -> Figure:
    gone: dict[str, float] = {}
    for _ in context.times(2, quick=1):
        for program in ("worker", "listener", "api"):
            took = _restart(context, program)
            gone[program] = max(took, gone.get(program, 0.0))
    text = ", ".join(f"{program} in {took:.1f} s" for program, took in gone.items())
    text += f"; a lone API answered nothing for {_longest_gap(context.reader.reads):.1f} s"
    misses = [line for program, took in gone.items() for line in at_most(f"{program} gone", took, GONE_S)]
    return Figure(f"gone at worst: {text}", misses)


def _longest_gap(reads: Sequence[Read]) -> float:
    """The longest time in which every query failed, from the first to fail until an answer."""
    longest, since = 0.0, None
    for read in sorted(reads, key=lambda read: read.ended):
        if read.status == 200:
            longest, since = max(longest, read.ended - since if since is not None else 0.0), None
        elif since is None:
            since = read.at
    return longest


def _restart(context: Context, program: str) -> float:
    """Stop a program in the middle of a run and start it again; how long its processes took to be gone."""
    family = context.environment.apps.family(program)
    # There is one API, so that nobody answers while it is away; what it took before that it answers.
    away = context.failing(0) if program == "api" else nullcontext()
    with slow_feed(context):
        run = caught(context, 2)
        with away:
            began = time.monotonic()
            with context.environment.apps.stopped(program):
                eventually(lambda: not any(map(is_alive, family)), f"every process of {program} is gone")
                took = time.monotonic() - began
            context.whole()
    context.ended(run.task_id)
    return took


CASES = (
    Case(
        "terminated",
        "SIGTERM to workers, listener and API in a run",
        "all processes gone ≤ 20 s, nothing lost, no read failed but for want of an API",
        _terminate,
        products=(4_000, 8),
    ),
)
