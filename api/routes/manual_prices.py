"""Manual prices: a price that a person set for a product, until it ends."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import uuid4

import msgspec
from litestar import Router, delete, put
from litestar.openapi.spec import Example
from litestar.params import Body
from msgspec import Meta

from api import cache_sync
from api.edge.identity import needs
from api.http.bodies import StrictBody
from api.http.problems import documented
from api.routes.products import ProductPath
from api.services import Services
from shared.errors import InvalidInput
from shared.prices import manual_prices
from shared.prices.published import Repriced
from shared.pricing.state import ManualPrice
from shared.wire import instants
from shared.wire.fields import AT


class NewManualPrice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A price for a product, in its currency, in place of the rules' one."""

    price: Annotated[Decimal, Meta(description="The published price", examples=["39.90"])]
    reason: Annotated[str, Meta(min_length=1, max_length=500, description="The reason", examples=["a clearance"])]
    until: Annotated[
        Annotated[datetime, Meta(tz=True)] | None, Meta(description="Its end. Default: none", examples=[AT])
    ] = None
    below_floor: Annotated[bool, Meta(description="Whether it may be below the floor", examples=[False])] = False

    def __post_init__(self) -> None:
        instants.check("until", self.until)


class ManualPriceAnswer(msgspec.Struct, frozen=True):
    """The decision that follows."""

    version: Annotated[int, Meta(description="The version of the price sheet", examples=[8])]


@put(
    "/products/{product_id:str}/manual-price",
    guards=[needs("catalogue:write")],
    security=[{"key": ["catalogue:write"]}],
    dto=StrictBody[NewManualPrice],
    return_dto=None,
    sync_to_thread=True,
    operation_id="putManualPrice",
    responses=documented(401, 403, 404, 422, 503),
    summary="Set a product's price by hand",
    description="Published at once, limited by the bounds only. Automation leaves the product alone until it ends.",
)
def put_manual_price(
    services: Services,
    product_id: ProductPath,
    data: Annotated[NewManualPrice, Body(examples=[Example(value={"price": "39.90", "reason": "a clearance"})])],
) -> ManualPriceAnswer:
    """Set a manual price."""
    return begin(services, product_id, data)


def begin(services: Services, product_id: str, data: NewManualPrice) -> ManualPriceAnswer:
    """Publish a manual price.

    Raises:
        InvalidInput: its end is past.
    """
    if data.until is not None and data.until <= services.clock.now():
        raise InvalidInput("must be in the future", "$.until")
    manual = ManualPrice(price=data.price, reason=data.reason, until=data.until, below_floor=data.below_floor)
    return _set(services, product_id, manual)


@delete(
    "/products/{product_id:str}/manual-price",
    status_code=200,
    guards=[needs("catalogue:write")],
    security=[{"key": ["catalogue:write"]}],
    sync_to_thread=True,
    operation_id="deleteManualPrice",
    responses=documented(401, 403, 404, 422, 503),
    summary="End a product's manual price",
    description="Automation goes on, with its limits.",
)
def delete_manual_price(services: Services, product_id: ProductPath) -> ManualPriceAnswer:
    """End a manual price."""
    return end(services, product_id)


def end(services: Services, product_id: str) -> ManualPriceAnswer:
    """Let automation decide again."""
    return _set(services, product_id, None)


def _set(services: Services, product_id: str, manual: ManualPrice | None) -> ManualPriceAnswer:
    with services.transaction() as conn:
        repriced: Repriced = manual_prices.put(conn, product_id, manual, str(uuid4()))
        claimed = cache_sync.begin(conn, repriced.changed)
    cache_sync.run(services, claimed, list(repriced.sheets.values()))
    return ManualPriceAnswer(repriced.sheets[product_id].version)


router = Router("/api/v1", route_handlers=[put_manual_price, delete_manual_price], tags=["Products"])
