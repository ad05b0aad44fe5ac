"""What undo takes back: runs, events and writes in a shop, each as its process has it."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from shared.catalogue.product_set import ProductSet
from shared.jobs import tasks
from shared.market_events import inbox, views
from shared.market_events.events import CloudEvent, parse_data
from shared.market_events.records import EventRecord
from shared.plans import undo_making
from shared.plans.store import Author
from shared.plans.undo_making import Asked
from shared.plans.views import PlanView
from shared.postgres import clock
from tests.integration.plans.shop import Shop
from workers.jobs import market_events, plans, recalculation

HISTORY_DAYS = 400


class UndoShop(Shop):
    """A shop whose changes are undone."""

    def now(self) -> datetime:
        """PostgreSQL's time."""
        with self.services.pool.connection() as conn:
            return clock.now(conn)

    def run(self, *product_ids: str, key_id: int | None = None) -> UUID:
        """A recalculation, to its end."""
        with self.services.pool.connection() as conn:
            task_id = tasks.create(conn, "recalculation", ProductSet(product_ids), "", key_id=key_id)
        recalculation.run(self.services, task_id)
        return task_id

    def event(self, type_: str, product_id: str, key_id: int | None = None, **data: Any) -> str:
        """An event, applied; its id."""
        event_id = str(uuid4())
        data = {"product_id": product_id, **data}
        event = CloudEvent(specversion="1.0", id=event_id, source="test", type=type_, data=data)
        record = EventRecord.accepted(event, parse_data(type_, data), key_id)
        with self.services.pool.connection() as conn:
            inbox.record(conn, [record])
            conn.execute("UPDATE repricing_queue SET decided_at = '-infinity' WHERE target = %s", [product_id])
        market_events.reprice_products(self.services, [product_id])
        with self.services.pool.connection() as conn:
            assert views.view(conn, event_id, None).status != "received"
        return event_id

    def market(self, multiplier: str, code: str = "DEFAULT") -> str:
        """A market's new multiplier, by an event; its id."""
        event_id = str(uuid4())
        data = {"market": code, "multiplier": multiplier}
        event = CloudEvent(specversion="1.0", id=event_id, source="test", type="market_changed", data=data)
        with self.services.pool.connection() as conn:
            inbox.record(conn, [EventRecord.accepted(event, parse_data("market_changed", data))])
            conn.execute("UPDATE repricing_queue SET decided_at = '-infinity'")
        market_events.change_market(self.services, code)
        with self.services.pool.connection() as conn:
            assert views.view(conn, event_id, None).status == "applied"
        return event_id

    def competitor(self, product_id: str, price: str, competitor: str = "acme", key_id: int | None = None) -> str:
        """A competitor's new price; the event's id."""
        data = {"competitor": competitor, "price": price, "currency": "USD"}
        return self.event("competitor_price_changed", product_id, key_id, **data)

    def plan_undo(self, **asked: Any) -> PlanView:
        """The plan of an undo."""
        with self.services.pool.connection() as conn:
            made = undo_making.make(conn, Asked(**asked), Author("shop", None), "", HISTORY_DAYS)
        plans.make(self.services, made.task_id)
        return self.view(made.plan_id)

    def undo(self, **asked: Any) -> PlanView:
        """An undo, applied; the prices are those that its plan showed."""
        plan = self.plan_undo(**asked)
        assert plan.status == "ready", plan.error
        planned = self.planned(plan.plan_id)
        applied = self.apply(plan.plan_id)
        assert (applied.status, applied.redecided) == ("applied", 0)
        assert self.prices() == planned
        return applied

    def price(self, product_id: str) -> Decimal:
        """The published price."""
        return self.prices()[product_id].price

    def notes(self, plan: PlanView) -> dict[str, str]:
        """What an undo does with each product that it concerns."""
        return {item.product_id: item.undo for item in self.items(plan.plan_id) if item.undo is not None}

    def paused(self) -> set[str]:
        """The products whose automation is paused."""
        with self.services.pool.connection() as conn:
            return {row["product_id"] for row in conn.execute("SELECT product_id FROM pauses")}
