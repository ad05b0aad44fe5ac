"""Events of a test's own, and targets that a worker holds."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from shared.market_events import inbox
from shared.market_events.records import EventRecord, Key, Outcome, WaitingEvent
from shared.postgres.pools import Pool
from shared.prices import repricing_queue
from shared.prices.repricing_queue import DueTarget, Lease
from tests.integration.catalogue_examples import NOON, new_id

Making = Callable[..., EventRecord]


@pytest.fixture
def source() -> str:
    """A source that only this test uses: it separates its events from others'."""
    return f"source-{uuid4().hex[:8]}"


@pytest.fixture
def make(source: str) -> Making:
    def make(**fields: Any) -> EventRecord:
        product_id = fields.get("product_id", new_id())
        known: dict[str, Any] = {"source": source, "id": new_id(), "type": "demand_changed", "occurred_at": NOON}
        known |= {"data": {"product_id": product_id, "index": "1.1"}, "product_id": product_id}
        return EventRecord(**known | fields)

    return make


class Queue:
    """The queue as its users see it, each call in a transaction of its own."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    def record(self, *events: EventRecord) -> set[Key]:
        with self.pool.connection() as conn:
            return inbox.record(conn, events)

    def take(self, *targets: str) -> list[DueTarget]:
        with self.pool.connection() as conn:
            return repricing_queue.take_due(conn, targets)

    def begin(self, *targets: str) -> list[Lease]:
        with self.pool.connection() as conn:
            return repricing_queue.begin(conn, targets)

    def started(self, target: str) -> tuple[Lease, list[WaitingEvent]]:
        """A worker's start on one target, which must be free."""
        with self.pool.connection() as conn:
            [lease] = repricing_queue.begin(conn, [target])
            return lease, inbox.waiting(conn, [lease])[target]

    def release(self, *leases: Lease) -> None:
        with self.pool.connection() as conn:
            repricing_queue.release(conn, leases)

    def complete(self, lease: Lease, *events: WaitingEvent, status: str = "applied") -> list[str]:
        """Complete events alike; the ids of those that were."""
        outcomes = [(event, Outcome(status, "why", 7)) for event in events]
        with self.pool.connection() as conn:
            return [event.id for event in inbox.complete(conn, [lease], outcomes)]

    def after(self, seconds: float, *targets: str) -> None:
        """As if this much time had gone by."""
        with self.pool.connection() as conn:
            conn.execute(
                "UPDATE repricing_queue SET decided_at = decided_at - make_interval(secs => %(s)s),"
                " lease_until = lease_until - make_interval(secs => %(s)s),"
                " due_at = due_at - make_interval(secs => %(s)s) WHERE target = ANY(%(targets)s)",
                {"s": seconds, "targets": list(targets)},
            )


@pytest.fixture
def queue(pool: Pool) -> Queue:
    return Queue(pool)
