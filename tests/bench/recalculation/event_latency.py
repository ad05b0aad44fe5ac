"""What goes on beside a run: events become prices, and prices are read."""

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from statistics import quantiles
from typing import Any

from tests.bench.recalculation import catalogue, open_loop, runs
from tests.bench.recalculation.arena import Arena

EVENTS = 200
EVENTS_DURING_RUN = 60
READS_PER_S = 200
READ_S = 15.0
HOT_PRODUCTS = 500
SERVED_WITHIN_S = 30.0
LOOK_S = 0.002


def measured(arena: Arena, products: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Event latency on an idle stack and during a run; warm reads beside a run and beside equal CPU work."""
    say(f"{EVENTS} single events on an idle stack")
    numbers = _numbers(products, EVENTS + EVENTS_DURING_RUN)
    idle = [_latency_ms(arena, number) for number in numbers[:EVENTS]]
    say(f"{EVENTS_DURING_RUN} single events during a run")
    during: list[float] = []
    with _a_run(arena, "0.03") as is_running:
        for number in numbers[EVENTS:]:
            if not is_running():
                break
            during.append(_latency_ms(arena, number))
    return {
        "event_latency_ms": {"idle": _quantiles(idle), "during_run": _quantiles(during)},
        "reads_ms": reads_beside(arena, "run", _a_run(arena, "0.04"), say),
    }


def reads_beside(
    arena: Arena, what: str, work: AbstractContextManager[Callable[[], bool]], say: Callable[[str], None]
) -> dict[str, Any]:
    """Warm reads beside work that is under way within its block, and beside equal CPU work, in milliseconds."""
    say(f"warm reads beside a {what}")
    hot = _warm(arena)
    with work as is_running:
        before, since = arena.cpu_s(), time.monotonic()
        beside = _reads(arena, hot, is_running)
        cores = sum(_used(arena, before, ("worker", "postgres", "redis"))) / (time.monotonic() - since)
    say(f"warm reads beside equal CPU work, {cores:.2f} cores")
    with _burning(cores):
        control = _reads(arena, _warm(arena), lambda: True)
    return {f"beside_{what}": _quantiles(beside), "beside_cpu_work": _quantiles(control), "cores": cores}


def idle(arena: Arena, products: int, events: int) -> dict[str, float]:
    """Quantiles of the event latency on an idle stack, in milliseconds."""
    return _quantiles([_latency_ms(arena, number) for number in _numbers(products, events)])


def _numbers(products: int, events: int) -> list[int]:
    """Each product once, so that what a competitor asks is news each time."""
    return random.sample([number for number in range(1, products) if catalogue.follows_competitors(number)], events)


def _latency_ms(arena: Arena, number: int) -> float:
    """From the request that tells of a competitor's price to the first answer that has it."""
    engine, product_id = arena.engine, catalogue.product_id(number)
    before = engine.price(product_id)
    # Below every other competitor, so that it is the one that is followed.
    competitor = f"{float(before['base_price']) * 0.9:.2f}"
    data: dict[str, object] = {"product_id": product_id, "competitor": "acme", "price": competitor, "currency": "USD"}
    begun = time.perf_counter()
    engine.publish("competitor_price_changed", data)
    while engine.price(product_id)["version"] == before["version"]:
        assert time.perf_counter() - begun < SERVED_WITHIN_S, f"{product_id} at {competitor} is not served"
        time.sleep(LOOK_S)
    return (time.perf_counter() - begun) * 1000


def _warm(arena: Arena) -> list[str]:
    """Products that have been asked for already."""
    hot = [catalogue.product_id(number) for number in range(1, HOT_PRODUCTS + 1)]
    for product_id in hot:
        arena.engine.price(product_id)
    return hot


def _reads(arena: Arena, hot: list[str], goes_on: Callable[[], bool]) -> list[float]:
    """Latencies of warm reads at a steady rate, in milliseconds, from when each was due."""
    return open_loop.latencies_ms(arena.engine.settings.port, hot, READS_PER_S, READ_S, goes_on)


@contextmanager
def _a_run(arena: Arena, undercut: str) -> Iterator[Callable[[], bool]]:
    """A run over everything that changes every price, under way within the block; whether it still is."""
    catalogue.change_all(arena.engine, undercut)
    task_id = arena.engine.recalculate()
    while not arena.engine.task(task_id)["progress"]["done"]:
        time.sleep(runs.POLL_S)
    yield lambda: arena.engine.task(task_id)["status"] == "running"
    runs.ended(arena, task_id)


@contextmanager
def _burning(cores: float, processes: int = 2) -> Iterator[None]:
    """Processes that use as much CPU together, and nothing else."""
    share = min(1.0, cores / processes)
    script = (
        f"import time\nwhile True:\n begun = time.perf_counter()\n while time.perf_counter() - begun < {share * 0.02}:"
        f" pass\n time.sleep({(1 - share) * 0.02})\n"
    )
    burning = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in burning:
            process.kill()
            process.wait()


def _used(arena: Arena, before: dict[str, float], programs: tuple[str, ...]) -> Iterator[float]:
    now = arena.cpu_s()
    yield from (now[program] - before[program] for program in programs)


def _quantiles(values: list[float]) -> dict[str, float]:
    if len(values) < 2:
        return {"n": len(values)}
    cuts = quantiles(values, n=100, method="inclusive")
    return {"n": len(values), "p50": cuts[49], "p95": cuts[94], "p99": cuts[98], "max": max(values)}
