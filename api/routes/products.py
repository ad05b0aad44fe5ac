"""Products: catalogue facts, signals, published prices and their history."""

import asyncio
from typing import Annotated
from uuid import uuid4

import msgspec
import redis
import structlog
from litestar import Response, Router, get, put
from litestar.params import HeaderParameter, Parameter
from msgspec import Meta

from api.edge.identity import needs
from api.http import etags
from api.http.bodies import StrictBody
from api.http.problems import documented
from api.services import Services
from shared.catalogue import products
from shared.catalogue.product_set import ProductSet
from shared.catalogue.products import ProductView
from shared.errors import ExternalAPIError, InvalidInput, UnusableProduct
from shared.jobs import tasks
from shared.market_events.feed import FeedQuote
from shared.postgres.pools import Conn
from shared.prices import published
from shared.prices.new_versions import Cause
from shared.prices.published import PriceChange, Repriced
from shared.pricing.product import ProductInput
from shared.rulebook import store as rulebook
from shared.telemetry import propagation, spans

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


class History(msgspec.Struct, frozen=True):
    """A page of a product's past prices."""

    changes: Annotated[list[PriceChange], Meta(description="Newest first")]


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
        asyncio.to_thread(_market_data, services, product_id),
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
    "With `If-Match`, the product is written only where nobody changed it since its `ETag` was read.",
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
    _write(services, data, if_match, if_none_match)
    view = _view(services, product_id)
    spans.annotate(product_id=product_id, version=view.version)
    return Response(view, headers=_tagged(view))


@get(
    "/products/{product_id:str}/price-history",
    guards=[needs("catalogue:read")],
    security=[{"key": ["catalogue:read"]}],
    sync_to_thread=True,
    operation_id="getPriceHistory",
    responses=documented(401, 403, 404, 422, 503),
    summary="The price history of a product",
    description="Every price change with its cause (event, task or write) and its policy, newest first.",
)
def get_price_history(
    services: Services,
    product_id: ProductPath,
    limit: Annotated[int, Parameter(ge=1, le=1000, description="The largest number of changes to return")] = 100,
    before_version: Annotated[
        int | None, Parameter(description="Only changes before this version, for the next page")
    ] = None,
) -> History:
    """Look up a product's past prices."""
    with services.transaction() as conn:
        return History(published.history(conn, product_id, limit, before_version))


def _view(services: Services, product_id: str) -> ProductView:
    with services.transaction() as conn:
        return products.view(conn, product_id)


def _market_data(services: Services, product_id: str) -> list[FeedQuote] | None:
    try:
        return services.feed.quotes([product_id])
    except ExternalAPIError as error:
        log.warning("market-data feed away", error=str(error))
        return None


def _tagged(view: ProductView) -> dict[str, str]:
    return {"etag": etags.tag_of(view), "cache-control": "private, no-cache"}


def _check_conditions(conn: Conn, product_id: str, if_match: str | None, if_none_match: str | None) -> bool:
    """Whether the write must create the product. The product is locked, so that true conditions stay true.

    Raises:
        HTTPException: 412: a condition is false.
    """
    if if_match is None and if_none_match is None:
        return False
    is_there = bool(products.lock(conn, [product_id]))
    current = etags.tag_of(products.view(conn, product_id)) if is_there else None
    etags.check_write(if_match, if_none_match, current)
    return not is_there


def _write(services: Services, product: ProductInput, if_match: str | None, if_none_match: str | None) -> None:
    """Write and decide in one transaction, then put the sheet into Redis; after a crash a task does the latter."""
    task_id = None
    with services.transaction() as conn:
        must_create = _check_conditions(conn, product.product_id, if_match, if_none_match)
        policy, cause = rulebook.active(conn), Cause("write", str(uuid4()))
        rulebook.check_strategy(policy, product)
        repriced = published.write_products(conn, [product], policy, cause)
        if repriced.failed:
            raise UnusableProduct(f"the price of product {product.product_id!r} cannot be decided")
        if must_create and not repriced.created:
            raise etags.failed("it exists already: another request has created it meanwhile")
        if _is_update(repriced):
            product_set = ProductSet(product_ids=repriced.changed)
            task_id = tasks.create(conn, "cache_sync", product_set, propagation.current()["traceparent"])
            tasks.claim_one(conn, task_id)
    # This process serves the new price at once; the others receive its announcement.
    services.near.changed((sheet.product_id, sheet.version) for sheet in repriced.sheets.values())
    if repriced.created:
        _note_creation(services)
    if task_id is None:
        return
    try:
        services.writer.put(list(repriced.sheets.values()))
    except redis.RedisError as error:
        log.warning("redis away, the sweep will publish the price", product_id=product.product_id, error=str(error))
        with services.transaction() as conn:
            tasks.release(conn, [task_id])
        return
    with services.transaction() as conn:
        tasks.done_by_writer(conn, task_id)


def _note_creation(services: Services) -> None:
    try:
        services.writer.created()
    except redis.RedisError as error:
        log.warning("redis away, queries may not find the new product for some seconds", error=str(error))


def _is_update(repriced: Repriced) -> bool:
    return bool(set(repriced.changed) - set(repriced.created))


router = Router("/api/v1", route_handlers=[get_product, put_product, get_price_history], tags=["Products"])
