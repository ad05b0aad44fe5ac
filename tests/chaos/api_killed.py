"""kill -9 a process of the API, again and again, under reads."""

import time

from tests.chaos.case import Case, Figure, at_most
from tests.chaos.context import Context
from tests.chaos.judge import shortened

BACK_S = 5.0
# The same one dying twice within this ends Granian whole: that is a crash loop, and no case of this one.
APART_S = 9.0
# Each process listens with a socket of its own: a connection that the kernel gave to the dying one is reset with it.
DYING_S = 0.5


def _kill(context: Context) -> Figure:
    worst, failed = 0.0, 0
    misses: list[str] = []
    apps = context.environment.apps
    size = len(apps.family("api"))
    for _ in context.times(10, quick=2):
        victim = context.rng.choice(apps.family("api")[1:])
        before = len(context.reader.reads)
        with context.failing(0):
            killed = time.monotonic()
            victim.kill()
            context.seconds_until(
                lambda victim=victim: not victim.is_running() or victim.status() == "zombie",  # type: ignore[misc]
                "its end",
            )
            context.seconds_until(lambda: apps.runs("api", size) and _answers(context), "the API is whole again")
            worst = max(worst, time.monotonic() - killed)
        time.sleep(max(0.0, killed + APART_S - time.monotonic()))  # apart, as stated above
        failed_now, wrong = _not_in_flight(context, before, killed)
        failed, misses = failed + failed_now, misses + wrong
    return Figure(
        f"back in {worst:.1f} s at worst, {failed} reads in flight failed", [*at_most("back", worst, BACK_S), *misses]
    )


def _answers(context: Context) -> bool:
    """Whether each of the reader's connections had an answer lately."""
    reads = context.reader.reads[-context.reader.connections :]
    return all(read.status == 200 for read in reads)


def _not_in_flight(context: Context, since: int, killed: float) -> tuple[int, list[str]]:
    """How many reads failed after a kill, and what is wrong with those that went over connections made after it."""
    older = {read.connection for read in context.reader.reads[:since]}
    failed = [read for read in context.reader.reads[since:] if read.status != 200]
    new = [
        f"{read.at - killed:.3f} s after the kill: {read.error}"
        for read in failed
        if read.connection not in older and not ("Reset" in read.error and read.at - killed < DYING_S)
    ]
    return len(failed), shortened("reads over new connections failed", new)


CASES = (
    Case(
        "api-killed",
        "kill -9 an API process ten times",
        "back ≤ 5 s; only requests in flight on it fail",
        _kill,
        limit_s=400,
    ),
)
