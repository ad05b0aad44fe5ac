"""Market events: accepted here, applied in the background."""

from typing import Annotated, Any

import structlog
from litestar import Request, Router, get, post
from litestar.openapi.spec import Example
from litestar.params import Body, Parameter

from api import event_intake
from api.edge.identity import needs
from api.http.event_bodies import BATCH_TYPE, EventBatch, EventBody, MarketEvent, Published, PublishedBatch
from api.http.problems import documented
from api.services import Services
from shared.access.keys import LiveKey
from shared.market_events import views as event_views
from shared.market_events.events import RecalculationRequested
from shared.market_events.views import EventView

log = structlog.get_logger(__name__)

# A request without a body.
EVERYTHING = MarketEvent(type=RecalculationRequested.type)


@post(
    "/publish-market-event",
    status_code=200,
    guards=[needs("events:write")],
    security=[{"key": ["events:write"]}],
    dto=EventBody,
    return_dto=None,
    sync_to_thread=True,
    operation_id="publishMarketEvent",
    responses=documented(401, 403, 422, 503),
    summary="Send a market event",
    description="Stores the event, then publishes it on `market_events`. Without a body all prices are recalculated. "
    f"A batch of CloudEvents (`{BATCH_TYPE}`, up to 1,000) gets one answer per event, in the order of the events. "
    "`market_changed` also needs `rules:write`, `recalculation_requested` also `operate`.",
)
def publish_market_event(
    request: Request[LiveKey, Any, Any],
    services: Services,
    data: Annotated[
        MarketEvent | EventBatch | None,
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
) -> Published | PublishedBatch:
    """Accept an event, or a batch of them."""
    if isinstance(data, EventBatch):
        return event_intake.accept_batch(services, data, request.user)
    return event_intake.accept(services, data or EVERYTHING, request.user)


@get(
    "/market-events/{event_id:str}",
    guards=[needs("catalogue:read")],
    security=[{"key": ["catalogue:read"]}],
    sync_to_thread=True,
    operation_id="getMarketEvent",
    responses=documented(401, 403, 404, 422, 503),
    summary="The status of an event",
    description="received, applied, superseded (by a later event), rejected or failed, with the reason.",
)
def get_market_event(
    services: Services,
    event_id: Annotated[str, Parameter(description="The event's id")],
    source: Annotated[
        str | None, Parameter(description="The event's sender. Default: the latest event of that id")
    ] = None,
) -> EventView:
    """Look an event up."""
    with services.transaction() as conn:
        return event_views.view(conn, event_id, source)


router = Router("/api/v1", route_handlers=[publish_market_event, get_market_event], tags=["Market events"])
