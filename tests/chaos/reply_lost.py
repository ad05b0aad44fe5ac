"""Single replies of Redis are lost: what was asked for has been done, and whoever asked does not know."""

import time
from contextlib import ExitStack
from functools import partial

from shared.messaging.lock import KEY
from tests.chaos import judgement
from tests.chaos.case import Case, Figure
from tests.chaos.context import Context
from tests.support.trap import Fate, Trap

SETTLED_S = 60.0
QUEUES = (b"\r\nevents\r\n", b"\r\ntasks\r\n")
# What stands in the requests of which one reply each is lost.
REPLIES: dict[str, list[tuple[bytes, ...]]] = {
    "fetch": [(b"\r\nfetch\r\n", queue) for queue in QUEUES],
    "ack": [(b"\r\nack\r\n", queue) for queue in QUEUES],
    "enqueue": [(b"\r\nenqueue\r\n", queue) for queue in QUEUES],
    "lock": [(KEY.encode(),)],
}
EMPTY = (b"*0", b"-NOSCRIPT")  # nothing was fetched, nothing was done: nothing to lose


def _lose(context: Context, what: str) -> Figure:
    engine = context.environment.engine
    # Once with every reply, so that Redis knows the scripts.
    context.ended(context.recalculate())
    with ExitStack() as undo:
        traps = [undo.enter_context(context.environment.to_redis.trap(_losing(marks))) for marks in REPLIES[what]]
        asked_at, task_id = time.monotonic(), context.recalculate()
        for trap in traps:
            trap.wait(f"a reply to {what} is lost")
    context.ended(task_id)
    took = time.monotonic() - asked_at
    context.traffic.stop()
    settled = context.seconds_until(lambda: not judgement.settled(context, 0), "all is settled", SETTLED_S)
    orphaned = ["the lock is orphaned"] if engine.redis.get(KEY) is not None else []
    return Figure(f"run ended in {took:.1f} s, all settled {settled:.1f} s later", orphaned)


def _losing(marks: tuple[bytes, ...]) -> Trap:
    return Trap(marks, Fate.UNANSWERED, reply=lambda reply: not reply.startswith(EMPTY))


CASES = tuple(
    Case(
        f"reply-lost-{what}",
        f"swallow one reply to {what}{' of each queue' if len(marks) > 1 else ''}",
        "one effect, no orphaned lock",
        partial(_lose, what=what),
    )
    for what, marks in REPLIES.items()
)
