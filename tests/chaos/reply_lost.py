"""A single reply of Redis is lost: what was asked for has been done, and whoever asked does not know."""

from functools import partial

from shared.messaging.lock import KEY
from tests.chaos import judgement
from tests.chaos.case import Case, Figure
from tests.chaos.scene import Scene
from tests.support.trap import Fate, Trap

SETTLED_S = 60.0
REPLIES = {
    "fetch": (b"\r\nfetch\r\n",),
    "ack": (b"\r\nack\r\n",),
    "enqueue": (b"\r\nenqueue\r\n",),
    "lock": (KEY.encode(),),
}
EMPTY = (b"*0", b"-NOSCRIPT")  # nothing was fetched, nothing was done: nothing to lose


def _lose(scene: Scene, what: str) -> Figure:
    engine = scene.stage.engine
    # Once with every reply, so that Redis knows the scripts.
    scene.ended(scene.recalculate())
    lost = Trap(REPLIES[what], Fate.UNANSWERED, reply=lambda reply: not reply.startswith(EMPTY))
    with scene.stage.to_redis.trap(lost):
        task_id = scene.recalculate()
        lost.wait(f"a reply to {what} is lost")
    took = scene.seconds_until(lambda: engine.task(task_id)["status"] == "succeeded", "the run's end")
    scene.traffic.stop()
    settled = scene.seconds_until(lambda: not judgement.settled(scene, 0), "all is settled", SETTLED_S)
    orphaned = ["the lock is orphaned"] if engine.redis.get(KEY) is not None else []
    return Figure(f"run ended in {took:.1f} s, all settled {settled:.1f} s later", orphaned)


CASES = tuple(
    Case(
        f"reply-lost-{what}", f"swallow one reply to {what}", "one effect, no orphaned lock", partial(_lose, what=what)
    )
    for what in REPLIES
)
