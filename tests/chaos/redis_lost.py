"""Redis freezes, dies, forgets everything."""

import time

from tests.chaos import judgement
from tests.chaos.case import Case, Figure
from tests.chaos.context import Context
from tests.chaos.runs import caught, slow_feed
from tests.support.waiting import eventually

FREEZE_S = 7.0
RIGHT_S = 60.0
BETWEEN_FREEZES = 10  # accepted updates


def _freeze(context: Context) -> Figure:
    for _ in context.times(5, quick=2):
        server = context.environment.servers.main("redis")
        context.recalculate()
        server.suspend()
        time.sleep(FREEZE_S)  # the fault itself
        server.resume()
        _updates_flow(context, BETWEEN_FREEZES)
    return _right(context)


def _kill(context: Context) -> Figure:
    for _ in context.times(3, quick=1):
        with slow_feed(context):
            caught(context, 2, lambda _: context.environment.servers.main("redis").kill())
            context.environment.engine.recalculate()
        _updates_flow(context, BETWEEN_FREEZES)
    return _right(context)


def _flush(context: Context) -> Figure:
    for _ in context.times(3, quick=1):
        with slow_feed(context):
            # With the lock gone, the second request is tempted to run beside the first.
            caught(context, 2, lambda _: context.environment.engine.redis.flushall())
            context.environment.engine.recalculate()
        _updates_flow(context, BETWEEN_FREEZES)
    return _right(context)


def _updates_flow(context: Context, count: int) -> None:
    before = len(context.traffic.accepted)
    eventually(lambda: len(context.traffic.accepted) >= before + count, "updates are accepted again")


def _right(context: Context) -> Figure:
    """How long after the last fault all is right again, with no further update."""
    context.traffic.stop()
    began = time.monotonic()
    wrong = judgement.settled(context, RIGHT_S)
    took = time.monotonic() - began
    return Figure(f"all right {took:.1f} s after the last fault", wrong and [f"not right within {RIGHT_S:.0f} s"])


CASES = (
    Case("redis-frozen", "freeze Redis 7 s, five times, workers alive", "nothing stranded after 60 s", _freeze),
    Case(
        "redis-killed",
        "kill -9 Redis in a run and start it again",
        "all prices, events and tasks right ≤ 60 s, one run at a time",
        _kill,
        products=(4_000, 8),
    ),
    Case(
        "redis-flushed",
        "FLUSHALL in a run, and another run asked for",
        "all prices, events and tasks right ≤ 60 s, one run at a time",
        _flush,
        products=(4_000, 8),
    ),
)
