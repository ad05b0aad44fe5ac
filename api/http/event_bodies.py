"""Request and response bodies of market events: one event, or a batch of CloudEvents."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar._openapi.schema_generation import SchemaCreator
from litestar.openapi.spec import Reference, Schema
from litestar.typing import FieldDefinition
from msgspec import Meta

from api.http.bodies import StrictBody
from api.http.problems import Problem
from shared.errors import InvalidInput, translated
from shared.messaging.channel import MARKET_EVENTS
from shared.pricing.text import clean_text
from shared.wire import fields

BATCH_TYPE = "application/cloudevents-batch+json"
MOST_EVENTS = 1_000
DEFAULT_SOURCE = "pricing-api"

Name = Annotated[str, Meta(min_length=1, max_length=200)]


class MarketEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change in the market."""

    type: Annotated[
        str,
        Meta(
            description="competitor_price_changed, demand_changed, stock_changed, cost_changed, market_changed "
            "or recalculation_requested",
            examples=["competitor_price_changed"],
        ),
    ]
    data: Annotated[
        dict[str, Any],
        Meta(
            description="The event's data, by its type: absolute new values",
            examples=[{"product_id": "P-100", "competitor": "acme", "price": "24.90", "currency": "USD"}],
        ),
    ] = {}
    event_id: Annotated[
        Name | None,
        Meta(
            description="Identifies the event: the same id and source are applied once. Default: a new id",
            examples=["e-1"],
        ),
    ] = None
    source: Annotated[Name, Meta(description="The event's sender", examples=["repricer"])] = DEFAULT_SOURCE
    time: Annotated[
        Annotated[datetime, Meta(tz=True)] | None,
        Meta(description="The time of the change. Default: now", examples=["2026-01-31T12:00:00Z"]),
    ] = None

    def __post_init__(self) -> None:
        for field in ("type", "event_id", "source"):
            clean_text(field, getattr(self, field))


class Published(msgspec.Struct, frozen=True):
    """The event is accepted: it is stored, and will be applied even if a process crashes."""

    status: Annotated[
        str,
        Meta(
            description="published; stored: the channel is away, the event is applied later; duplicate: stored before",
            examples=["published"],
        ),
    ]
    event_id: fields.EventId
    source: fields.EventSource
    channel: Annotated[str, Meta(description="The Pub/Sub channel", examples=[MARKET_EVENTS])]
    trace_id: fields.TraceId


class EventBatch(msgspec.Struct, frozen=True):
    """CloudEvents, each as its JSON; an invalid one does not fail the others."""

    events: list[bytes]


class EventAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to one event of a batch: its status, or the reason for its refusal."""

    event_id: Annotated[str | None, Meta(description="The event's id", examples=["e-1"])] = None
    status: Annotated[
        str | None, Meta(description="As for a single event: published, stored or duplicate", examples=["published"])
    ] = None
    trace_id: Annotated[str | None, Meta(description="The event's trace", examples=[fields.TRACE_ID])] = None
    error: Annotated[Problem | None, Meta(description="The reason for the refusal")] = None


class PublishedBatch(msgspec.Struct, frozen=True):
    """The answers to a batch of events."""

    items: Annotated[list[EventAnswer], Meta(description="One per event, in the order of the events")]


class EventBody(StrictBody[MarketEvent]):
    """One event as JSON, or, by its content type, a batch of CloudEvents."""

    def decode_bytes(self, value: bytes) -> MarketEvent | EventBatch:
        """The body, by its content type.

        Raises:
            NotJson: the body is not JSON.
            InvalidInput: the body has the wrong shape, or a batch does not have 1 to 1,000 events.
        """
        kind = self.asgi_connection.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != BATCH_TYPE:
            event: MarketEvent = super().decode_bytes(value)
            return event
        with translated():
            events = msgspec.json.decode(value, type=list[msgspec.Raw])
        if not 1 <= len(events) <= MOST_EVENTS:
            raise InvalidInput(f"needs 1 to {MOST_EVENTS:,} events")
        return EventBatch([bytes(event) for event in events])

    @classmethod
    def create_openapi_schema(
        cls, field_definition: FieldDefinition, handler_id: str, schema_creator: SchemaCreator
    ) -> Reference | Schema:
        """The schema of one event; the schema of a batch has a content type of its own."""
        one = FieldDefinition.from_annotation(MarketEvent, kwarg_definition=field_definition.kwarg_definition)
        return super().create_openapi_schema(one, handler_id, schema_creator)
