"""The process that holds a run, or a part of it: killed, and frozen in the middle of its work."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import psutil

from shared.messaging.lock import KEY
from shared.postgres.leases import LEASE_S
from tests.chaos.case import Case, Figure, at_most
from tests.chaos.context import Context
from tests.chaos.runs import caught, slow_feed
from tests.support.proxy import Proxy
from tests.support.trap import Fate, Trap, process_at

# Promised, whatever the lease is: the lease, a sweep, and room for a busy machine.
GOES_ON_S = 16
BAR = f"goes on ≤ {GOES_ON_S} s"
# Of the feed. Two partitions at a time in the process that is not frozen: the run lasts for about a minute.
LONG_RUN_DELAY_S = 1.2
# By then a worker that woke has met its error and has written the end of its attempt.
ERROR_S = 5.0
REFUSED = "pricing_stale_writes_refused_total"


def _kill(context: Context) -> Figure:
    worst = 0.0
    workers = context.environment.apps.family("worker")
    for _ in context.times(3, quick=1):
        holders: list[psutil.Process] = []
        workers = context.environment.apps.family("worker")

        def found(port: int, workers: list[psutil.Process] = workers, holders: list[psutil.Process] = holders) -> bool:
            holders.extend(filter(None, [process_at(port, workers)]))
            return bool(holders)

        with slow_feed(context), context.environment.to_redis.trap(Trap((KEY.encode(),), act=found)):
            run = caught(context, 2, lambda process, holders=holders: holders[0].kill())  # type: ignore[misc]
            took = context.seconds_until(
                lambda run=run: context.has_price(run.product_id, run.task_id),  # type: ignore[misc]
                "the run goes on",
            )
        worst = max(worst, took)
        context.ended(run.task_id)
        context.whole()
    return Figure(f"went on in {worst:.1f} s at worst", at_most("went on", worst, GOES_ON_S))


@dataclass
class _Freeze:
    """Where a worker is frozen: with the first thing that it says of a certain product on its way to a server."""

    way: Callable[[Context], Proxy]
    mark: Callable[[str], bytes]


# Its new price is what is first said of it: its row is locked, and nothing committed.
IN_TRANSACTION = _Freeze(lambda context: context.environment.to_postgres, str.encode)
BEFORE_PUT = _Freeze(lambda context: context.environment.to_redis, lambda id_: f"pricing:sheet:{id_}\r\n".encode())


def _freeze(context: Context, where: _Freeze) -> Figure:
    """Freeze the worker that decides a product which nobody reads, and wake it after twice the lease."""
    product_id = next(id_ for id_ in reversed(context.catalogue.plain) if id_ not in context.reader.product_ids)
    refused = refused_writes(context)
    went_on = []
    with _frozen(context, where, product_id) as (task_id, at):
        went_on.append(_until_decided_by_another(context, product_id, task_id, at))
        _wait_until(at + 2 * LEASE_S)
    context.ended(task_id)
    context.seconds_until(lambda: refused_writes(context) > refused, "the refused write is counted", deadline_s=30)
    count = refused_writes(context) - refused
    return Figure(
        f"went on in {went_on[0]:.1f} s, {count:.0f} stale write refused", at_most("went on", went_on[0], GOES_ON_S)
    )


def _freeze_in_a_long_run(context: Context) -> Figure:
    """Freeze a worker at the start of a run, and wake it while the run still goes on."""
    product_id = context.catalogue.plain[0]
    with slow_feed(context, LONG_RUN_DELAY_S):
        with _frozen(context, IN_TRANSACTION, product_id) as (task_id, at):
            _wait_until(at + 2 * LEASE_S)
            asleep = _going_on(context, task_id)
        # Its transaction was rolled back meanwhile: it meets an error, and tries to end its attempt.
        _wait_until(at + 2 * LEASE_S + ERROR_S)
        awake = _going_on(context, task_id)
        assert awake > asleep, f"the run stood still after the frozen worker woke, at {awake} products"
    context.ended(task_id, deadline_s=240)
    lasted_s = time.monotonic() - at
    attempts = context.environment.engine.task(task_id)["attempts"]
    return Figure(
        f"{asleep} products done when it woke; ended after {lasted_s:.0f} s in attempt {attempts}",
        [] if attempts == 1 else [f"the run was started {attempts} times"],
    )


def _going_on(context: Context, task_id: str) -> int:
    """The number of products that a run has done; it runs, and has been started once."""
    task = context.environment.engine.task(task_id)
    assert (task["status"], task["attempts"]) == ("running", 1), f"the run does not go on: {task}"
    return int(task["progress"]["done"])


@contextmanager
def _frozen(context: Context, where: _Freeze, product_id: str) -> Iterator[tuple[str, float]]:
    """Start a run, and freeze the worker that decides a product, for the duration of the block.

    Yields:
        The run's id, and the time of the freeze.
    """
    workers = context.environment.apps.family("worker")
    frozen: list[psutil.Process] = []

    def freeze(port: int) -> bool:
        process = process_at(port, workers)
        if process:
            process.suspend()
            frozen.append(process)
        return process is not None

    with where.way(context).trap(Trap((where.mark(product_id),), Fate.HELD, act=freeze)) as trap:
        task_id = context.recalculate()
        at = trap.wait("a worker is frozen").at
        try:
            yield task_id, at
        finally:
            # What it said reaches the server late, when it itself is about to go on.
            trap.release()
            frozen[0].resume()


def _until_decided_by_another(context: Context, product_id: str, task_id: str, since: float) -> float:
    """How long it takes until the product's new price is in PostgreSQL and its sheet in Redis."""

    def look() -> bool:
        if not context.has_price(product_id, task_id):
            return False
        row = context.environment.engine.sql("SELECT version FROM prices WHERE product_id = %s", product_id)[0]
        entry = context.environment.engine.redis.get(f"pricing:sheet:{product_id}")
        return isinstance(entry, bytes) and entry.startswith(b"%d|" % row["version"])

    context.seconds_until(look, "another worker decides what the frozen one had in hand", deadline_s=4 * LEASE_S)
    return time.monotonic() - since


def refused_writes(context: Context) -> float:
    """How many writes of workers that had lost their part of a run were refused so far."""
    url = f"http://127.0.0.1:{context.environment.engine.settings.worker_metrics_port}/metrics"
    try:
        lines = httpx.get(url, trust_env=False).text.splitlines()
    except httpx.TransportError:
        return 0.0
    return sum(float(line.split()[-1]) for line in lines if line.startswith(REFUSED))


def _wait_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


CASES = (
    Case(
        "coordinator-killed",
        "kill -9 the run's coordinator",
        f"{BAR}, nothing lost or doubled",
        _kill,
        products=(10_000, 8),
        limit_s=600,
    ),
    Case(
        "holder-frozen-before-put",
        "freeze the holder of a part between its commit and its put for twice the lease, and wake it",
        f"{BAR}; the stale write is refused and counted",
        lambda context: _freeze(context, BEFORE_PUT),
        products=(4_000, 8),
    ),
    Case(
        "holder-frozen-in-transaction",
        "the same in the middle of its transaction, with its products' rows locked",
        f"{BAR}; the stale write is refused and counted",
        lambda context: _freeze(context, IN_TRANSACTION),
        products=(4_000, 8),
    ),
    Case(
        "frozen-holder-long-run",
        "the same in a run that still goes on when the holder wakes",
        "the run goes on, and succeeds in its first attempt",
        _freeze_in_a_long_run,
        products=(80_000, 8),
        limit_s=600,
    ),
)

# Beside the other case of that topology, whose stack it shares.
POOLED_CASES = (
    Case(
        "holder-frozen-pooled",
        "the holder of a part frozen in its transaction behind PgBouncer, whose connection it keeps",
        f"{BAR}; the stale write is refused and counted",
        lambda context: _freeze(context, IN_TRANSACTION),
        products=(4_000, 8),
        topology="pooler",
    ),
)
