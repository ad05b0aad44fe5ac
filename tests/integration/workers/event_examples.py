"""Market events of a test's own, recorded as the API does, and their outcomes."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

from shared.market_events import inbox
from shared.market_events import views as event_views
from shared.market_events.records import EventRecord
from shared.market_events.views import EventView
from shared.postgres.leases import LEASE_S
from shared.postgres.pools import Pool
from shared.prices import repricing_queue
from shared.prices.history import price_changes
from shared.prices.repricing_queue import Lease
from shared.telemetry import propagation
from tests.integration.catalogue_examples import NOON, new_id


class Events:
    """Each call is a transaction of its own."""

    def __init__(self, pool: Pool) -> None:
        self._pool, self.source = pool, f"source-{uuid4().hex[:8]}"

    def competitor(self, product_id: str, price: str, by: str = "acme", **fields: Any) -> EventRecord:
        data = {"product_id": product_id, "competitor": by, "price": price, "currency": "USD"}
        return self.record("competitor_price_changed", data, product_id=product_id, **fields)

    def demand(self, product_id: str, index: str, **fields: Any) -> EventRecord:
        data = {"product_id": product_id, "index": index}
        return self.record("demand_changed", data, product_id=product_id, **fields)

    def cost(self, product_id: str, cost: str, currency: str = "USD", **fields: Any) -> EventRecord:
        data = {"product_id": product_id, "cost": cost, "currency": currency}
        fields.setdefault("at", datetime.now(UTC))  # a product's write is newer than a cost from before it
        return self.record("cost_changed", data, product_id=product_id, **fields)

    def market(self, code: str, multiplier: str, **fields: Any) -> EventRecord:
        return self.record("market_changed", {"market": code, "multiplier": multiplier}, market=code, **fields)

    def record(
        self, type_: str, data: dict[str, Any], at: datetime = NOON, traceparent: str | None = None, **fields: Any
    ) -> EventRecord:
        """Record an event, in a trace of its own unless one is given."""
        trace = propagation.fresh() if traceparent is None else traceparent
        known: dict[str, Any] = {"source": self.source, "id": new_id(), "occurred_at": at, "traceparent": trace}
        event = EventRecord(**known | {"type": type_, "data": data} | fields)
        with self._pool.connection() as conn:
            assert inbox.record(conn, [event]) == {event.key}
        return event

    def view(self, event: EventRecord) -> EventView:
        with self._pool.connection() as conn:
            return event_views.view(conn, event.id, event.source)

    def statuses(self, *events: EventRecord) -> list[str]:
        return [self.view(event).status for event in events]

    def after(self, seconds: float, target: str) -> None:
        """As if this much time had gone by for a target."""
        with self._pool.connection() as conn:
            conn.execute(
                "UPDATE repricing_queue SET decided_at = decided_at - make_interval(secs => %(s)s),"
                " lease_until = lease_until - make_interval(secs => %(s)s),"
                " due_at = due_at - make_interval(secs => %(s)s) WHERE target = %(target)s",
                {"s": seconds, "target": target},
            )

    def recorded_before(self, event: EventRecord, hours: float) -> None:
        """As if an event had been recorded this long ago."""
        with self._pool.connection() as conn:
            conn.execute(
                "UPDATE market_events SET recorded_at = recorded_at - make_interval(secs => %s * 3600) WHERE id = %s",
                [hours, event.id],
            )

    def begin(self, target: str) -> list[Lease]:
        """Another worker begins with a target."""
        with self._pool.connection() as conn:
            return repricing_queue.begin(conn, [target])

    def take_over(self, target: str) -> None:
        """The lease of a target ends, and another worker begins with it."""
        self.after(LEASE_S, target)
        assert self.begin(target)

    def queued(self, target: str) -> dict[str, Any]:
        """A target's row of the queue; whether it is free, and in how many seconds it is due."""
        with self._pool.connection() as conn:
            row = conn.execute(
                "SELECT claim, attempts, crashes, is_enqueued, lease_until <= clock_timestamp() AS is_free,"
                " extract(epoch FROM due_at - clock_timestamp())::float8 AS due_in_s"
                " FROM repricing_queue WHERE target = %s",
                [target],
            ).fetchone()
        assert row
        return row

    def prices(self, product_id: str) -> list[tuple[Decimal, str]]:
        """The published prices of a product, each with the id of its cause, the first price first."""
        with self._pool.connection() as conn:
            changes = price_changes(conn, product_id, 1000)
        return [(row.new_price, row.cause_id) for row in reversed(changes) if row.new_price is not None]
