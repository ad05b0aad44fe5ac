"""The stream of changes, as server-sent events."""

from typing import Annotated, Any

from litestar import Request, Router, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter, Parameter, QueryParameter
from litestar.response import Stream

from api.edge.identity import needs
from api.http.negotiation import EVENT_STREAM
from api.http.problems import documented
from api.services import Services
from shared.access import scopes
from shared.access.keys import LiveKey
from shared.changes import entries
from shared.changes.entries import PUBLIC, ChangeType, Wanted
from shared.errors import Forbidden, InvalidInput
from shared.pricing.product import MAX_CATEGORY

MOST_PRODUCTS = 100
LARGEST_ID = 2**53 - 1
# Proxies pass on what comes, and store nothing.
HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


# Litestar's ServerSentEvent would encode each event anew for each client, and hop to a thread at its start.
@get(
    "/price-changes",
    media_type=EVENT_STREAM,
    guards=[needs("prices:read")],
    security=[{"key": ["prices:read"]}],
    operation_id="streamPriceChanges",
    responses={
        200: ResponseSpec(
            entries.Event,
            media_type=EVENT_STREAM,
            description="Events without end. `event` is the type, `id` the `change_id`, `data` one of these",
            generate_examples=False,
        ),
        **documented(401, 403, 410, 422, 503),
    },
    summary="Changes of prices, rules and windows as they happen",
    description="Server-sent events. Without `Last-Event-ID` the stream begins with the next change. A message with "
    "an `id` alone comes every 15 s: it says that the stream is alive, and where to go on. An event `end` names the "
    "reason for which the server ends the stream: `shutdown`, `slow` (the client took nothing for 30 s) or `key` (it "
    "was revoked). Keys with `operate` may also ask for `hold`, `breaker` and `job`.",
)
async def stream_price_changes(
    request: Request[LiveKey, Any, Any],
    services: Services,
    last_event_id: Annotated[
        int | None,
        HeaderParameter(
            name="Last-Event-ID", ge=0, le=LARGEST_ID, description="Go on behind this change; 0: from the first one"
        ),
    ] = None,
    types: Annotated[
        list[ChangeType] | None,
        QueryParameter(name="type", description="Of these types only. Default: prices, rules, window"),
    ] = None,
    product_ids: Annotated[
        list[str] | None,
        QueryParameter(
            name="product_id", max_items=MOST_PRODUCTS, description="Prices and holds of these products only"
        ),
    ] = None,
    category: Annotated[
        str | None,
        Parameter(
            min_length=1,
            max_length=MAX_CATEGORY,
            description="Prices of products that are in this category after the change",
        ),
    ] = None,
) -> Stream:
    """Stream changes."""
    wanted = Wanted(frozenset(types or PUBLIC), frozenset(product_ids or ()), category)
    if not wanted.types <= PUBLIC and not scopes.allow(request.user.scopes, "operate"):
        raise Forbidden(f"the types {', '.join(sorted(wanted.types - PUBLIC))} need the scope operate")
    if request.client is None:
        raise InvalidInput("the caller's address is not known")
    peer = request.client.host, request.client.port
    chunks = await services.streams.open(request.user, wanted, last_event_id, peer)
    return Stream(chunks, media_type=EVENT_STREAM, headers=HEADERS)


router = Router("/api/v1", route_handlers=[stream_price_changes], tags=["Changes"])
