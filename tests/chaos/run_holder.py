"""The process that holds a run, or a part of it: killed, and frozen in the middle of its work."""

import time
from collections.abc import Callable
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

GOES_ON_S = LEASE_S + 1
BAR = f"goes on ≤ lease + 1 s ({GOES_ON_S} s)"
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
    workers = context.environment.apps.family("worker")
    frozen: list[psutil.Process] = []

    def freeze(port: int) -> bool:
        process = process_at(port, workers)
        if process:
            process.suspend()
            frozen.append(process)
        return process is not None

    refused = refused_writes(context)
    with where.way(context).trap(Trap((where.mark(product_id),), Fate.HELD, act=freeze)) as trap:
        task_id = context.recalculate()
        at = trap.wait("a worker is frozen").at
        try:
            went_on = _until_decided_by_another(context, product_id, task_id, at)
            _wait_until(at + 2 * LEASE_S)
        finally:
            # What it said reaches the server late, when it itself is about to go on.
            trap.release()
            frozen[0].resume()
    context.ended(task_id)
    context.seconds_until(lambda: refused_writes(context) > refused, "the refused write is counted", deadline_s=30)
    count = refused_writes(context) - refused
    return Figure(
        f"went on in {went_on:.1f} s, {count:.0f} stale write refused", at_most("went on", went_on, GOES_ON_S)
    )


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
)
