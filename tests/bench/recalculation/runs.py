"""One recalculation of everything, measured."""

import time
from collections.abc import Callable
from typing import Any

from tests.bench.recalculation import catalogue
from tests.bench.recalculation.arena import Arena

TIMEOUT_S = 400
POLL_S = 0.1


def measured(arena: Arena, products: int, changed: str) -> dict[str, Any]:
    """Recalculate everything and wait; the figures of the run."""
    cpu, stations, history = arena.cpu_s(), arena.stations_s(), catalogue.history(arena.engine)
    task = ended(arena, arena.engine.recalculate())
    assert task["status"] == "succeeded", task
    seconds = _duration_s(arena, task["task_id"])
    used = {name: spent - cpu[name] for name, spent in arena.cpu_s().items()}
    spent = {name: value - stations.get(name, 0.0) for name, value in arena.stations_s().items()}
    grown, rows = (after - before for after, before in zip(catalogue.history(arena.engine), history, strict=True))
    in_database, in_redis = catalogue.bytes_per_product(arena.engine, products)
    return {
        "products": products,
        "changed": changed,
        "changed_products": task["result"]["changed"],
        "seconds": seconds,
        "products_per_s": products / seconds,
        "us_per_product": seconds / products * 1e6,
        "cpu_us_per_product": {name: value / products * 1e6 for name, value in used.items()},
        "stations": {name: value / (sum(spent.values()) or 1) for name, value in spent.items()},
        "peak_mb_per_process": max(arena.worker_peaks_mb()),
        "postgres_bytes_per_product": in_database,
        "redis_bytes_per_product": in_redis,
        "history_bytes_per_change": grown / rows,
    }


def ended(arena: Arena, task_id: str, meanwhile: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """The task once it has ended."""
    end = time.monotonic() + TIMEOUT_S
    while True:
        task = arena.engine.task(task_id)
        if task["status"] not in ("queued", "running"):
            return task
        assert time.monotonic() < end, f"not within {TIMEOUT_S} s: {task}"
        meanwhile()
        time.sleep(POLL_S)


def _duration_s(arena: Arena, task_id: str) -> float:
    """By the database's clock, from the request to the end."""
    query = "SELECT extract(epoch FROM finished_at - created_at) AS s FROM tasks WHERE task_id = %s"
    return float(arena.engine.sql(query, task_id)[0]["s"])
