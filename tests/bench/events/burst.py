"""A burst: another service publishes events at 20,000 a second, over Redis alone."""

import time
from pathlib import Path
from typing import Any

import msgspec

from tests.bench.events import completion
from tests.bench.recalculation import catalogue
from tests.bench.recalculation.arena import Arena

PER_S = 20_000
EVENT_BYTES = 250
BATCH = 500


def measured(arena: Arena, products: int, events: int) -> dict[str, Any]:
    """Publish events, round the products, and wait for the end of all of them."""
    messages = [_message(number, products) for number in range(events)]
    began = time.monotonic()
    for first in range(0, events, BATCH):
        _pause_until(began + first / PER_S)
        with arena.engine.redis.pipeline(transaction=False) as pipeline:
            for message in messages[first : first + BATCH]:
                pipeline.publish("market_events", message)
            pipeline.execute()
    published_s = time.monotonic() - began
    found = completion.wait(arena, "burst", events)
    took = time.monotonic() - began
    return {
        "events": events,
        "published_per_s": events / published_s,
        "lost": events - found,
        "events_per_s": found / took,
        "listener_peak_mb": _peak_mb(arena.processes.main("listener").pid),
    }


def _message(number: int, products: int) -> bytes:
    """An event of 250 bytes; each competitor price is news."""
    event = {
        "specversion": "1.0",
        "id": f"b-{number}",
        "source": "burst",
        "type": "competitor_price_changed",
        "data": {
            "product_id": catalogue.product_id(1 + number % products),
            "competitor": "acme",
            "price": f"{5 + number % 1000 / 100:.2f}",
            "currency": "USD",
        },
    }
    padding = EVENT_BYTES - len(msgspec.json.encode(event | {"subject": ""}))
    return msgspec.json.encode(event | {"subject": "x" * max(0, padding)})


def _pause_until(due: float) -> None:
    time.sleep(max(0.0, due - time.monotonic()))


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1024
