"""The sweep of an idle stack, beside many targets that are due later."""

import time
from typing import Any

import psutil

from tests.bench.recalculation import catalogue
from tests.bench.recalculation.arena import Arena

DUE_LATER = 200_000
WINDOW_S = 20.0


def measured(arena: Arena) -> dict[str, Any]:
    """The share of a core that PostgreSQL's processes for the listener use."""
    arena.engine.sql(
        "INSERT INTO repricing_queue (target, due_at)"
        " SELECT 'later-' || n, clock_timestamp() + interval '1 day' FROM generate_series(1, %s) n",
        DUE_LATER,
    )
    catalogue.tidy(arena.engine)
    before, began = _cpu_s(arena), time.monotonic()
    time.sleep(WINDOW_S)  # the window that is measured
    return {"core_share": (_cpu_s(arena) - before) / (time.monotonic() - began), "due_later": DUE_LATER}


def _cpu_s(arena: Arena) -> float:
    rows = arena.engine.sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'pricing-listener'")
    times = [psutil.Process(row["pid"]).cpu_times() for row in rows]
    return sum(each.user + each.system for each in times)
