"""Automation: paused and resumed by a person."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, Router, get, post
from litestar.openapi.spec import Example
from litestar.params import Body
from msgspec import Meta

from api.edge.identity import needs
from api.http import cursors
from api.http.bodies import StrictBody
from api.http.problems import documented
from api.routes.lists import Cursor, Limit, Next
from api.services import Services
from shared.access.keys import LiveKey
from shared.catalogue import products
from shared.catalogue.product_set import ProductSet
from shared.errors import InvalidInput
from shared.jobs import tasks
from shared.market_events.events import Category, ProductIds
from shared.prices import pauses
from shared.prices.pauses import PauseView, Reach
from shared.telemetry import propagation
from shared.wire import instants
from shared.wire.fields import AT

Reason = Annotated[str, Meta(min_length=1, max_length=500, description="The reason", examples=["stocktaking"])]


class AutomationResume(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which pauses end; without products and category all."""

    reason: Reason
    product_ids: ProductIds | None = None
    category: Category | None = None

    @property
    def reach(self) -> Reach:
        """The reach; the text of an error names the field."""
        if self.product_ids is not None and self.category is not None:
            raise InvalidInput("cannot be given together with `product_ids`", "$.category")
        return Reach(product_ids=self.product_ids or (), category=self.category)


class AutomationPause(AutomationResume, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is paused; without products and category everything."""

    until: Annotated[
        Annotated[datetime, Meta(tz=True)] | None, Meta(description="Its end. Default: none", examples=[AT])
    ] = None

    def __post_init__(self) -> None:
        instants.check("until", self.until)


class Paused(msgspec.Struct, frozen=True):
    """Automation is paused."""

    until: Annotated[datetime | None, Meta(description="Its end; null: until it is resumed", examples=[AT])]


class Resumed(msgspec.Struct, frozen=True):
    """Automation goes on."""

    ended: Annotated[int, Meta(description="The number of pauses that ended", examples=[1])]


class PauseList(msgspec.Struct, frozen=True):
    """A page of pauses."""

    items: Annotated[list[PauseView], Meta(description="The earliest first")]
    next: Next


@get(
    "/automation",
    guards=[needs("catalogue:read")],
    security=[{"key": ["catalogue:read"]}],
    sync_to_thread=True,
    operation_id="listPauses",
    responses=documented(401, 403, 422, 503),
    summary="Pauses of automation in force",
    description="The earliest first. `GET /api/v1/breaker` says whether the breaker has stopped automation.",
)
def list_pauses(services: Services, limit: Limit = 100, cursor: Cursor = None) -> PauseList:
    """List the pauses in force."""
    after: pauses.Position | None = cursors.decode(cursor, pauses.Position)
    with services.transaction() as conn:
        items, last = cursors.split(pauses.page(conn, limit + 1, after), limit)
    return PauseList(items, cursors.encode((last.since, last.pause_id)) if last else None)


_WRITE: dict[str, Any] = {
    "status_code": 200,
    "guards": [needs("operate")],
    "security": [{"key": ["operate"]}],
    "return_dto": None,
    "sync_to_thread": True,
    "responses": documented(401, 403, 422, 503),
}
_EXAMPLE = Body(examples=[Example(value={"reason": "stocktaking", "category": "toys"})])


@post(
    "/automation/pause",
    **_WRITE,
    dto=StrictBody[AutomationPause],
    operation_id="pauseAutomation",
    summary="Pause automation",
    description="Of products, of a category or of everything. Prices stay; a person's writes are published.",
)
def pause_automation(
    request: Request[LiveKey, Any, Any], services: Services, data: Annotated[AutomationPause, _EXAMPLE]
) -> Paused:
    """Pause automation."""
    return pause(services, request.user, data)


def pause(services: Services, key: LiveKey, data: AutomationPause) -> Paused:
    """Pause automation.

    Raises:
        InvalidInput: the end is past, or there is no such product.
    """
    with services.transaction() as conn:
        known = products.currencies(conn, data.product_ids or ())
        for index, product_id in enumerate(data.product_ids or ()):
            if product_id not in known:
                raise InvalidInput(f"no product {product_id!r}", f"$.product_ids[{index}]")
        if data.until is not None and data.until <= services.clock.now():
            raise InvalidInput("must be in the future", "$.until")
        pauses.pause(conn, data.reach, data.reason, key.name, data.until)
    return Paused(data.until)


@post(
    "/automation/resume",
    **_WRITE,
    dto=StrictBody[AutomationResume],
    operation_id="resumeAutomation",
    summary="End pauses of automation",
    description="Those of these products, of this category, or all. The products are then decided anew.",
)
def resume_automation(services: Services, data: Annotated[AutomationResume, _EXAMPLE]) -> Resumed:
    """Resume automation."""
    return resume(services, data)


def resume(services: Services, data: AutomationResume) -> Resumed:
    """End the pauses of exactly this reach; what they kept is decided again."""
    reach = data.reach
    with services.transaction() as conn:
        ended = pauses.resume(conn, reach)
        if ended:
            product_set = ProductSet(reach.product_ids, (reach.category,) if reach.category else ())
            tasks.create(conn, "recalculation", product_set, propagation.current()["traceparent"])
    return Resumed(ended)


router = Router("/api/v1", route_handlers=[list_pauses, pause_automation, resume_automation], tags=["Automation"])
