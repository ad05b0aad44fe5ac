"""Waits until events of a source are completed."""

import time

from tests.bench.recalculation.arena import Arena

POLL_S = 0.1
WITHIN_S = 300.0
LOST_AFTER_S = 30.0
_WAITING = "SELECT count(*) FILTER (WHERE status = 'received') AS waiting, count(*) AS n FROM market_events"


def wait(arena: Arena, source: str, events: int = 0) -> int:
    """Wait until no event of a source waits, and there are so many; how many there are.

    Events that do not come within 30 s after the last one are lost. On a busy machine a listener may stand still for
    some seconds.
    """
    deadline, seen_at, seen = time.monotonic() + WITHIN_S, time.monotonic(), 0
    while True:
        [row] = arena.engine.sql(f"{_WAITING} WHERE source = %s", source)
        if row["n"] != seen:
            seen, seen_at = row["n"], time.monotonic()
        is_whole = seen >= events or time.monotonic() - seen_at > LOST_AFTER_S
        if is_whole and not row["waiting"]:
            return int(seen)
        if time.monotonic() > deadline:
            raise TimeoutError(f"{row['waiting']} events of {source} still wait after {WITHIN_S:.0f} s")
        time.sleep(POLL_S)
