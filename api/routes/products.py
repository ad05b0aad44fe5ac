"""Products: catalogue facts, signals, published prices and their history."""

import asyncio
from datetime import datetime
from typing import Annotated

import msgspec
import structlog
from litestar import Response, Router, delete, get, put
from litestar.params import HeaderParameter, Parameter
from msgspec import Meta

from api import product_writes
from api.bulkheads import on_feed_threads
from api.edge.identity import needs
from api.http import cursors, etags
from api.http.bodies import StrictBody
from api.http.problems import documented
from api.product_writes import Conditions
from api.routes.audit_log import INSTANT, instant
from api.routes.lists import Cursor, Next
from api.services import Services
from shared.catalogue import products
from shared.catalogue.products import ProductView
from shared.errors import ExternalAPIError, InvalidInput
from shared.market_events.feed import FeedQuote
from shared.prices import history, timeline
from shared.prices.history import PriceChange
from shared.pricing.product import ProductInput
from shared.rulebook.term_changes import TermChange
from shared.telemetry import spans

log = structlog.get_logger(__name__)

IfMatch = Annotated[
    str | None, HeaderParameter(name="If-Match", description="Write only where the product's `ETag` is one of these")
]
IfNoneMatch = Annotated[
    str | None, HeaderParameter(name="If-None-Match", description="`*`: write only where there is no such product")
]
ProductPath = Annotated[str, Parameter(description="The product's id")]


class ProductAnswer(msgspec.Struct, frozen=True):
    """A product in the database, in Redis and in the market-data feed, at this moment."""

    catalogue: Annotated[ProductView, Meta(description="The product in the database")]
    cached_version: Annotated[int | None, Meta(description="The version that Redis holds; null: none", examples=[3])]
    market_data: Annotated[
        list[FeedQuote] | None, Meta(description="The market-data feed's quotes; null: the feed is away")
    ]


class History(msgspec.Struct, frozen=True, omit_defaults=True):
    """A page of a product's past prices."""

    changes: Annotated[list[PriceChange], Meta(description="Newest first")]
    next: Next
    terms: Annotated[
        list[TermChange] | None,
        Meta(
            description="Only with `terms=true`, newest first: new versions of the rulebook, multipliers of markets, "
            "and exchange rates of the product's currency"
        ),
    ] = None


@get(
    "/products/{product_id:str}",
    guards=[needs("catalogue:read")],
    security=[{"key": ["catalogue:read"]}],
    operation_id="getProduct",
    responses=documented(401, 403, 404, 422, 503),
    summary="A product, its signals and its published price",
    description="Reads the database, Redis and, where one is configured, the market-data feed. The `ETag` stands for "
    "`catalogue`: the other two fields may change without it.",
)
async def get_product(services: Services, product_id: ProductPath) -> Response[ProductAnswer]:
    """Look up a product."""
    view, version, market_data = await asyncio.gather(
        asyncio.to_thread(_view, services, product_id),
        services.reader.cached_version(product_id),
        _market_data(services, product_id),
    )
    return Response(ProductAnswer(view, version, market_data), headers=_tagged(view))


@put(
    "/products/{product_id:str}",
    guards=[needs("catalogue:write")],
    security=[{"key": ["catalogue:write"]}],
    dto=StrictBody[ProductInput],
    return_dto=None,
    sync_to_thread=True,
    operation_id="putProduct",
    responses=documented(401, 403, 412, 422, 503),
    summary="Insert or replace a product",
    description="The price is decided in the same transaction. Writing the same product again changes nothing. "
    "With `If-Match`, the product is written only where it is the one whose `ETag` was read.",
)
def put_product(
    services: Services,
    product_id: ProductPath,
    data: ProductInput,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> Response[ProductView]:
    """Write a product."""
    if data.product_id != product_id:
        raise InvalidInput(f"not the id in the path, {product_id!r}", "$.product_id")
    product_writes.write(services, data, Conditions(if_match, if_none_match))
    view = _view(services, product_id)
    spans.annotate(product_id=product_id, version=view.version)
    return Response(view, headers=_tagged(view))


@delete(
    "/products/{product_id:str}",
    guards=[needs("catalogue:write")],
    security=[{"key": ["catalogue:write"]}],
    sync_to_thread=True,
    operation_id="deleteProduct",
    responses=documented(401, 403, 404, 412, 422, 503),
    summary="Delete a product",
    description="Deletes the product, its signals and its published price; its price history stays. Events that wait "
    "for it are rejected. A product that is written again under this id goes on with the next version.",
)
def delete_product(services: Services, product_id: ProductPath, if_match: IfMatch = None) -> None:
    """Delete a product."""
    sheet = product_writes.delete(services, product_id, Conditions(if_match))
    spans.annotate(product_id=product_id, version=sheet.version)


@get(
    "/products/{product_id:str}/price-history",
    guards=[needs("catalogue:read")],
    security=[{"key": ["catalogue:read"]}],
    sync_to_thread=True,
    operation_id="getPriceHistory",
    responses=documented(401, 403, 404, 422, 503),
    summary="The price history of a product",
    description="Every version of the price sheet with its cause and the rulebook that decided it, newest first, for "
    "as long as `PRICING_HISTORY_DAYS` says. A deletion is a version, too. With `terms=true` each page also has the "
    "changes of the rulebook and of market values of its time.",
)
def get_price_history(
    services: Services,
    product_id: ProductPath,
    limit: Annotated[
        int, Parameter(ge=1, le=1000, description="The largest number of changes to return, terms included")
    ] = 100,
    cursor: Cursor = None,
    terms: Annotated[bool, Parameter(description="Also return the changes of the terms that the product has")] = False,
    since: Annotated[
        str | None, Parameter(pattern=INSTANT, description="Only changes from this instant on, with UTC offset")
    ] = None,
    until: Annotated[
        str | None, Parameter(pattern=INSTANT, description="Only changes before this instant, with UTC offset")
    ] = None,
    before_version: Annotated[
        int | None, Parameter(description="Only changes before this version; not with `terms`")
    ] = None,
) -> History:
    """Look up a product's past prices."""
    begins, end = instant("since", since), instant("until", until)
    if terms:
        if before_version is not None:
            raise InvalidInput("does not go with `terms`: use `until`", "$.before_version")
        return _timeline(services, product_id, limit, cursors.decode(cursor, timeline.Position), begins, end)
    with services.transaction() as conn:
        found = history.price_changes(
            conn,
            product_id,
            limit + 1,
            cursors.decode(cursor, history.Position),
            since=begins,
            until=end,
            before_version=before_version,
        )
    changes, last = cursors.split(found, limit)
    return History(changes, None if last is None else cursors.encode((last.at, last.version)))


def _timeline(
    services: Services,
    product_id: str,
    limit: int,
    after: timeline.Position | None,
    since: datetime | None,
    until: datetime | None,
) -> History:
    with services.transaction() as conn:
        found = timeline.entries(conn, product_id, limit + 1, after, since=since, until=until)
    page, last = cursors.split(found, limit)
    changes = [entry.change for entry in page]
    return History(
        [change for change in changes if isinstance(change, PriceChange)],
        None if last is None else cursors.encode(last.position),
        [change for change in changes if isinstance(change, TermChange)],
    )


def _view(services: Services, product_id: str) -> ProductView:
    with services.transaction() as conn:
        return products.view(conn, product_id)


async def _market_data(services: Services, product_id: str) -> list[FeedQuote] | None:
    """The feed's quotes; None where it is away, or has too many requests before this one."""
    with on_feed_threads():
        asking = asyncio.create_task(asyncio.to_thread(services.feed.quotes, [product_id]))
    try:
        return await asyncio.wait_for(asking, services.settings.feed_timeout_s)
    except (ExternalAPIError, TimeoutError) as error:
        log.warning("market-data feed away", error=str(error) or "no answer in time")
        return None


def _tagged(view: ProductView) -> dict[str, str]:
    return {"etag": etags.tag_of(view), "cache-control": "private, no-cache"}


router = Router(
    "/api/v1", route_handlers=[get_product, put_product, delete_product, get_price_history], tags=["Products"]
)
