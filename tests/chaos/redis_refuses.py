"""Redis answers, and refuses: it is full, or a replica. And it holds many keys."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import redis

from tests.chaos import judgement
from tests.chaos.case import Case, Figure, at_most
from tests.chaos.context import Context
from tests.support.waiting import eventually

REFUSES_S, QUICK_REFUSES_S = 20.0, 6.0
RIGHT_S = 60.0
UPDATES = 20
KEYS, QUICK_KEYS = 3_000_000, 300_000
STEP = 10_000
# One command that passes over as many keys takes longer than this.
LONGEST_COMMAND_S = 0.15


@contextmanager
def _full(context: Context) -> Iterator[None]:
    """Redis is at its limit, and nothing may be evicted: writes are OutOfMemory errors."""
    server = context.environment.broker
    before = server.config_get("maxmemory*")
    server.config_set("maxmemory-policy", "noeviction")
    server.config_set("maxmemory", "1mb")
    try:
        yield
    finally:
        for name in ("maxmemory", "maxmemory-policy"):
            server.config_set(name, str(before[name]))


@contextmanager
def _readonly(context: Context) -> Iterator[None]:
    """Redis became the replica of a primary that is away: it reads, and refuses writes."""
    server = context.environment.broker
    server.config_set("replica-serve-stale-data", "yes")
    server.replicaof("127.0.0.1", "1")
    try:
        yield
    finally:
        server.replicaof("NO", "ONE")


def _refused(refusing: Callable[[Context], AbstractContextManager[None]]) -> Callable[[Context], Figure]:
    def play(context: Context) -> Figure:
        context.recalculate()
        with refusing(context):
            began, accepted = time.monotonic(), len(context.traffic.accepted)
            context.recalculate()
            time.sleep(QUICK_REFUSES_S if context.quick else REFUSES_S)  # the fault itself
            accepted = len(context.traffic.accepted) - accepted
            lasted = time.monotonic() - began
        context.traffic.stop()
        began = time.monotonic()
        wrong = judgement.settled(context, RIGHT_S)
        took = time.monotonic() - began
        missed = [f"not right within {RIGHT_S:.0f} s"] if wrong else []
        missed += [] if accepted else ["no update was accepted meanwhile"]
        return Figure(f"{accepted} updates accepted in {lasted:.0f} s; all right {took:.1f} s after it", missed)

    return play


def _many_keys(context: Context) -> Figure:
    """A worker dies; its messages are found among a great many keys in the database of the queues."""
    broker = context.environment.broker
    count = QUICK_KEYS if context.quick else KEYS
    _for_each_key(broker, count, "redis.call('SET', 'many:' .. i, i)")
    try:
        broker.config_resetstat()
        for _ in context.times(5, quick=2):
            context.recalculate()
            context.environment.apps.family("worker")[-1].kill()
            context.whole()
            _updates_flow(context)
        context.traffic.stop()
        wrong = judgement.settled(context, RIGHT_S)
        stats = broker.info("commandstats")
    finally:
        _for_each_key(broker, count, "redis.call('DEL', 'many:' .. i)")
    slowest = max(s["usec_per_call"] for name, s in stats.items() if name.startswith("cmdstat_eval")) / 1e6
    missed = [f"not right within {RIGHT_S:.0f} s"] if wrong else []
    missed += [f"KEYS was called {stats['cmdstat_keys']['calls']} times"] if "cmdstat_keys" in stats else []
    missed += at_most("the mean script came to its end", slowest, LONGEST_COMMAND_S)
    return Figure(f"{count:,} other keys, no KEYS; mean script {slowest * 1000:.2f} ms", missed)


def _updates_flow(context: Context) -> None:
    before = len(context.traffic.accepted)
    eventually(lambda: len(context.traffic.accepted) >= before + UPDATES, "updates are accepted")


def _for_each_key(broker: redis.Redis, count: int, command: str) -> None:
    """Run a Lua command for each key, in scripts so short that they disturb nobody."""
    for start in range(1, count + 1, STEP):
        broker.eval(f"for i = ARGV[1], ARGV[2] do {command} end", 0, start, min(count, start + STEP - 1))


CASES = (
    Case(
        "redis-full",
        "Redis at its memory's limit, 20 s, in a run",
        "no read fails, updates are accepted; all right ≤ 60 s after it",
        _refused(_full),
    ),
    Case(
        "redis-readonly",
        "Redis a replica that refuses writes, 20 s, in a run",
        "no read fails, updates are accepted; all right ≤ 60 s after it",
        _refused(_readonly),
    ),
    Case(
        "broker-keys-on-large-db",
        "kill -9 workers, 3,000,000 other keys in the queues' database",
        "no KEYS, nothing stranded after 60 s",
        _many_keys,
    ),
)
