"""Market events: accepted here, applied in the background."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import uuid4

import msgspec
import redis
import structlog
from litestar import Router, get, post
from litestar.openapi.spec import Example
from litestar.params import Body, Parameter
from msgspec import Meta

from api.edge.identity import requires_key
from api.http.bodies import StrictBody
from api.http.problems import documented
from api.services import Services
from shared.market_events import inbox
from shared.market_events import views as event_views
from shared.market_events.events import CloudEvent, checked_time, parse_data
from shared.market_events.records import EventRecord
from shared.market_events.views import EventView
from shared.messaging import channel
from shared.messaging.channel import MARKET_EVENTS
from shared.pricing.text import clean_text
from shared.telemetry import propagation
from shared.telemetry.tracing import current_trace_id
from shared.wire import fields

log = structlog.get_logger(__name__)

DEFAULT_SOURCE = "pricing-api"

Name = Annotated[str, Meta(min_length=1, max_length=200)]


class MarketEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What happened in the market."""

    type: Annotated[
        str,
        Meta(
            description="competitor_price_changed, demand_changed, stock_changed, cost_changed, market_changed "
            "or recalculation_requested",
            examples=["competitor_price_changed"],
        ),
    ] = "recalculation_requested"
    data: Annotated[
        dict[str, Any],
        Meta(
            description="The event's data, by its type: absolute new values",
            examples=[{"product_id": "P-100", "competitor": "acme", "price": "24.90", "currency": "USD"}],
        ),
    ] = {}
    event_id: Annotated[
        Name | None,
        Meta(description="Makes sending it again harmless; not given: a new one", examples=["e-1"]),
    ] = None
    source: Annotated[Name, Meta(description="Who says so", examples=["repricer"])] = DEFAULT_SOURCE
    time: Annotated[
        Annotated[datetime, Meta(tz=True)] | None,
        Meta(description="When it happened; not given: now", examples=["2026-01-31T12:00:00Z"]),
    ] = None

    def __post_init__(self) -> None:
        clean_text("event_id", self.event_id)
        clean_text("source", self.source)


class Published(msgspec.Struct, frozen=True):
    """The event is accepted: it is stored, and will be applied whatever dies meanwhile."""

    status: Annotated[
        str,
        Meta(
            description="published; stored: the channel is away, it waits for it; duplicate: known already",
            examples=["published"],
        ),
    ]
    event_id: fields.EventId
    source: fields.EventSource
    channel: Annotated[str, Meta(description="The Pub/Sub channel", examples=[MARKET_EVENTS])]
    trace_id: fields.TraceId


@post(
    "/publish-market-event",
    status_code=200,
    guards=[requires_key],
    security=[{"key": []}],
    dto=StrictBody[MarketEvent],
    return_dto=None,
    sync_to_thread=True,
    operation_id="publishMarketEvent",
    responses=documented(401, 422, 503),
    summary="Tell the engine what happened in the market",
    description="Stores the event, then publishes it on `market_events`. Without a body: recalculate everything.",
)
def publish_market_event(
    services: Services,
    data: Annotated[
        MarketEvent | None,
        Body(
            examples=[
                Example(
                    summary="A competitor's price",
                    value={
                        "type": "competitor_price_changed",
                        "data": {
                            "product_id": "P-100",
                            "competitor": "acme",
                            "price": "24.90",
                            "currency": "USD",
                        },
                    },
                ),
                Example(
                    summary="Demand rises",
                    value={"type": "demand_changed", "data": {"product_id": "P-100", "index": 1.2}},
                ),
            ]
        ),
    ] = None,
) -> Published:
    """Accept an event."""
    event = data or MarketEvent()
    event_id = event.event_id or str(uuid4())
    with channel.sending(event_id):
        return _accept(services, event, event_id)


@get(
    "/market-events/{event_id:str}",
    sync_to_thread=True,
    operation_id="getMarketEvent",
    responses=documented(404, 422, 503),
    summary="What became of an event",
    description="Its status: received, applied, superseded (by a later one), rejected or failed, with the reason.",
)
def get_market_event(
    services: Services,
    event_id: Annotated[str, Parameter(description="The event's id")],
    source: Annotated[str | None, Parameter(description="Who said so; not given: the latest of that id")] = None,
) -> EventView:
    """Look an event up."""
    with services.transaction() as conn:
        return event_views.view(conn, event_id, source)


def _accept(services: Services, event: MarketEvent, event_id: str) -> Published:
    data = parse_data(event.type, event.data)
    cloud_event = CloudEvent(
        specversion="1.0",
        id=event_id,
        source=event.source,
        type=event.type,
        time=checked_time(event.time, datetime.now(UTC)),
        data=event.data,
        **propagation.current(),
    )
    record = EventRecord.accepted(cloud_event, data)
    with services.transaction() as conn:
        is_new = bool(inbox.record(conn, [record]))
    status = _publish(services, cloud_event) if is_new else "duplicate"
    log.info("event accepted", event_id=record.id, type=record.type, status=status)
    return Published(status, record.id, record.source, MARKET_EVENTS, current_trace_id())


def _publish(services: Services, event: CloudEvent) -> str:
    try:
        channel.publish(services.events, event)
    except redis.RedisError as error:
        log.warning("channel away, the sweep will find the event", event_id=event.id, error=str(error))
        return "stored"
    return "published"


router = Router("/api/v1", route_handlers=[publish_market_event, get_market_event], tags=["Market events"])
