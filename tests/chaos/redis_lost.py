"""Redis freezes, dies, forgets everything."""

import time

from tests.chaos import judgement
from tests.chaos.case import Case, Figure
from tests.chaos.runs import caught, slow_feed
from tests.chaos.scene import Scene
from tests.support.waiting import eventually

FREEZE_S = 7.0
RIGHT_S = 60.0
BETWEEN_FREEZES = 10  # accepted updates


def _freeze(scene: Scene) -> Figure:
    for _ in scene.times(5, quick=2):
        server = scene.stage.servers.main("redis")
        scene.recalculate()
        server.suspend()
        time.sleep(FREEZE_S)  # the fault itself
        server.resume()
        _updates_flow(scene, BETWEEN_FREEZES)
    return _right(scene)


def _kill(scene: Scene) -> Figure:
    for _ in scene.times(3, quick=1):
        with slow_feed(scene):
            caught(scene, 2, lambda _: scene.stage.servers.main("redis").kill())
            scene.stage.engine.recalculate()
        _updates_flow(scene, BETWEEN_FREEZES)
    return _right(scene)


def _flush(scene: Scene) -> Figure:
    for _ in scene.times(3, quick=1):
        with slow_feed(scene):
            # With the lock gone, the second request is tempted to run beside the first.
            caught(scene, 2, lambda _: scene.stage.engine.redis.flushall())
            scene.stage.engine.recalculate()
        _updates_flow(scene, BETWEEN_FREEZES)
    return _right(scene)


def _updates_flow(scene: Scene, count: int) -> None:
    before = len(scene.traffic.accepted)
    eventually(lambda: len(scene.traffic.accepted) >= before + count, "updates are accepted again")


def _right(scene: Scene) -> Figure:
    """How long after the last fault all is right again, with no further update."""
    scene.traffic.stop()
    began = time.monotonic()
    wrong = judgement.settled(scene, RIGHT_S)
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
