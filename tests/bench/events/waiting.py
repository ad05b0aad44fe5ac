"""Events that waited for a listener: from its start until the last of them is served."""

import time
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.rows import DictRow, dict_row

from shared.market_events import inbox
from shared.market_events.records import EventRecord
from tests.bench.events import completion
from tests.bench.recalculation import catalogue
from tests.bench.recalculation.arena import Arena

EVENTS = 5_000
SLICE = 500


def measured(arena: Arena) -> dict[str, Any]:
    """Seconds from the start of the listener's process until 5,000 events, one a product, are completed."""
    with arena.processes.stopped("listener"):
        for first in range(1, EVENTS + 1, SLICE):
            _record(arena, range(first, first + SLICE))
        began = time.monotonic()
    completion.wait(arena, "waiting")
    return {"served_s": time.monotonic() - began, "events": EVENTS}


def _record(arena: Arena, numbers: range) -> None:
    now = datetime.now(UTC)
    records = [
        EventRecord(
            source="waiting",
            id=f"w-{number}",
            type="demand_changed",
            occurred_at=now,
            data={"product_id": catalogue.product_id(number), "index": "1.1"},
            product_id=catalogue.product_id(number),
        )
        for number in numbers
    ]
    with psycopg.Connection[DictRow].connect(arena.engine.settings.database_url, row_factory=dict_row) as conn:
        inbox.record(conn, records)
