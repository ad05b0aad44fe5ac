"""Market events in their stages: recorded, waiting, completed."""

from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec

from shared.catalogue.product_set import ProductSet
from shared.market_events.events import CloudEvent, EventData, RecalculationRequested
from shared.prices import repricing_queue

# (source, id)
Key = tuple[str, str]


class EventRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One event to record.

    Attributes:
        product_id: The product that the event concerns, if any.
        market: The market that the event concerns, if any.
        product_set: The products to recalculate, where the event requests that.
        occurred_at: The event's time; None: the time of its receipt, by PostgreSQL's clock.
        reason: The reason for a rejection; None: the event is accepted.
        key_id: The key that sent it over HTTP; None: it came by the channel.
        raw: The message itself, where it is not an event.
        traceparent: W3C context of the span that accepted the event.
    """

    source: str
    id: str
    type: str
    occurred_at: datetime | None = None
    data: dict[str, Any] = {}
    product_id: str | None = None
    market: str | None = None
    product_set: ProductSet | None = None
    reason: str | None = None
    raw: str | None = None
    traceparent: str = ""
    tracestate: str = ""
    key_id: int | None = None

    @classmethod
    def accepted(cls, event: CloudEvent, data: EventData, key_id: int | None = None) -> "EventRecord":
        """The record of an event with its validated data."""
        return cls(
            source=event.source,
            id=event.id,
            type=event.type,
            occurred_at=event.time,
            data=event.data,
            product_id=getattr(data, "product_id", None),
            market=getattr(data, "market", None),
            product_set=data.product_set if isinstance(data, RecalculationRequested) else None,
            traceparent=event.traceparent,
            tracestate=event.tracestate,
            key_id=key_id,
        )

    @property
    def key(self) -> Key:
        """The event's identity."""
        return self.source, self.id

    @property
    def target(self) -> str | None:
        """The product or market that the event makes due; None where it is rejected, or requests a task."""
        if self.reason is not None:
            return None
        return self.product_id or (repricing_queue.market_target(self.market) if self.market else None)

    @property
    def task_id(self) -> UUID | None:
        """The id of the task that the event requests, always the same for the same event."""
        return uuid5(NAMESPACE_URL, f"{self.source} {self.id}") if self.product_set is not None else None

    @property
    def status(self) -> str:
        """The recorded status; a requested recalculation is `applied` at once, because it is a task now."""
        return "rejected" if self.reason is not None else "applied" if self.task_id else "received"


class WaitingEvent(msgspec.Struct, frozen=True):
    """An accepted event that is not completed; `data` is its validated data as JSON."""

    source: str
    id: str
    type: str
    occurred_at: datetime
    data: str
    target: str
    traceparent: str
    tracestate: str
    recorded_at: datetime

    @property
    def key(self) -> Key:
        """The event's identity."""
        return self.source, self.id


class Outcome(msgspec.Struct, frozen=True):
    """The outcome of an event: `applied`, `superseded`, `rejected` or `failed`, and the version that includes it."""

    status: str
    reason: str | None = None
    version: int | None = None
    traceback: str | None = None


class CompletedEvent(msgspec.Struct, frozen=True):
    """A completed event, for the log and the metrics; `lag_s` is the time since it was recorded."""

    target: str
    id: str
    type: str
    status: str
    reason: str | None
    version: int | None
    lag_s: float
