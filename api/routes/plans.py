"""Plans: proposed changes with their measured effect, and their application."""

from collections.abc import Iterator
from typing import Annotated, Any
from uuid import UUID

import msgspec
import structlog
from litestar import Request, Router, get, post
from litestar.openapi.spec import Example
from litestar.params import Body, Parameter
from litestar.response import Stream
from msgspec import Meta

from api import plan_writes
from api.edge.identity import needs
from api.http import cursors
from api.http.bodies import RuleBody
from api.http.negotiation import ALSO, CSV, prefers
from api.http.problems import documented
from api.plan_writes import PlanAccepted
from api.routes.lists import Cursor, Limit, Next
from api.services import Services
from shared.access.keys import LiveKey
from shared.importing import plan_items
from shared.plans import views
from shared.plans.requested import NewPlan
from shared.plans.views import ItemFilter, ItemView, Order, PlanView, UndoNote
from shared.pricing.product import MAX_CATEGORY

log = structlog.get_logger(__name__)

Caller = Request[LiveKey, Any, Any]
PlanPath = Annotated[UUID, Parameter(description="The plan's id")]


class PlanList(msgspec.Struct, frozen=True):
    """A page of plans."""

    items: Annotated[list[PlanView], Meta(description="The newest first, without their results")]
    next: Next


class ItemList(msgspec.Struct, frozen=True):
    """A page of a plan's items."""

    items: Annotated[list[ItemView], Meta(description="In the order that was asked for")]
    next: Next


_READ: dict[str, Any] = {
    "guards": [needs("catalogue:read")],
    "security": [{"key": ["catalogue:read"]}],
    "sync_to_thread": True,
}
_WRITE: dict[str, Any] = _READ | {
    "status_code": 202,
    "return_dto": None,
    "responses": documented(401, 403, 404, 409, 422, 503),
}


@post(
    "/plans",
    **_WRITE | {"responses": documented(401, 403, 422, 503)},
    dto=RuleBody[NewPlan],
    operation_id="createPlan",
    summary="Plan changes: their effect is computed, nothing is changed",
    description="Each change is one part, whole, or a deletion. The key needs the scope of each change, and "
    "`catalogue:read`. A background job decides every product as the application would.",
)
def create_plan(
    request: Caller,
    services: Services,
    data: Annotated[
        NewPlan, Body(examples=[Example(value={"changes": [{"promotion": {"id": "spring", "percent": "20"}}]})])
    ],
) -> PlanAccepted:
    """Queue a plan."""
    return plan_writes.make(services, request.user, data)


@get(
    "/plans",
    **_READ,
    operation_id="listPlans",
    responses=documented(401, 403, 422, 503),
    summary="Plans",
    description="The newest first, without their results.",
)
def list_plans(services: Services, limit: Limit = 100, cursor: Cursor = None) -> PlanList:
    """List plans."""
    after: views.Position | None = cursors.decode(cursor, views.Position)
    with services.transaction() as conn:
        items, last = cursors.split(views.page(conn, limit + 1, after), limit)
    return PlanList(items, cursors.encode((last.created_at, last.plan_id)) if last else None)


@get(
    "/plans/{plan_id:uuid}",
    **_READ,
    operation_id="getPlan",
    responses=documented(401, 403, 404, 422, 503),
    summary="A plan",
    description="Its status, its progress, and its result once it is ready.",
)
def get_plan(services: Services, plan_id: PlanPath) -> PlanView:
    """Look up a plan."""
    with services.transaction() as conn:
        return views.view(conn, plan_id)


@get(
    "/plans/{plan_id:uuid}/items",
    **_READ,
    operation_id="listPlanItems",
    opt={ALSO: CSV},
    responses=documented(401, 403, 404, 422, 503),
    summary="The prices that move, or are held, by a plan",
    description="`order=falls` begins with the largest fall, `order=rises` with the largest rise. With `Accept: "
    "text/csv` the answer is CSV: all items from `cursor` on, whatever the `limit`. Texts that a spreadsheet program "
    "would run as a formula have an apostrophe in front.",
)
def list_plan_items(
    request: Caller,
    services: Services,
    plan_id: PlanPath,
    order: Annotated[Order, Parameter(description="The order")] = "product_id",
    category: Annotated[
        str | None, Parameter(min_length=1, max_length=MAX_CATEGORY, description="Of this category")
    ] = None,
    market: Annotated[
        str | None, Parameter(max_length=64, description="Public prices of this market; empty: published prices")
    ] = None,
    held: Annotated[bool | None, Parameter(description="Whether a target waits for a person")] = None,
    redecided: Annotated[bool | None, Parameter(description="Whether the application decided it anew")] = None,
    undo: Annotated[UndoNote | None, Parameter(description="What an undo does with the product")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> ItemList | Stream:
    """List a plan's items."""
    after: views.ItemPosition | None = cursors.decode(cursor, views.ItemPosition)
    chosen = ItemFilter(category=category, market=market, held=held, redecided=redecided, undo=undo)
    if prefers(CSV, request.headers.getall("accept", [])):
        with services.transaction() as conn:
            views.view(conn, plan_id)
        # The handler's own media type would replace one that is given to the stream.
        headers = {"content-type": f"{CSV}; charset=utf-8"}
        return Stream(_csv(services, plan_id, chosen, order, after), headers=headers)
    with services.transaction() as conn:
        found = views.items(conn, plan_id, chosen, order, limit + 1, after)
    items, last = cursors.split(found, limit)
    return ItemList(items, cursors.encode(views.position_of(last)) if last else None)


def _csv(
    services: Services, plan_id: UUID, chosen: ItemFilter, order: Order, after: views.ItemPosition | None
) -> Iterator[str]:
    """The items as CSV; no connection is held while the caller reads."""
    yield plan_items.header()
    while True:
        with services.transaction() as conn:
            found = views.items(conn, plan_id, chosen, order, plan_items.PAGE, after)
        if not found:
            return
        after = views.position_of(found[-1])
        yield plan_items.lines(found)


@post(
    "/plans/{plan_id:uuid}/apply",
    **_WRITE,
    operation_id="applyPlan",
    summary="Publish a plan",
    description="Its rulebook is in force at once, its prices follow. 409 where a part that it touches, or more than "
    "5 % of its prices, changed since; `detail` says which. The few that changed are decided anew and listed as "
    "`redecided`. The key needs the scope of each change.",
)
def apply_plan(request: Caller, services: Services, plan_id: PlanPath) -> PlanAccepted:
    """Apply a plan."""
    return plan_writes.apply(services, request.user, plan_id)


@post(
    "/plans/{plan_id:uuid}/discard",
    **_WRITE | {"status_code": 200},
    operation_id="discardPlan",
    summary="Drop a plan",
    description="A plan that is still being made is aborted. 409 where it is applied. The key needs the scope of "
    "each change.",
)
def discard_plan(request: Caller, services: Services, plan_id: PlanPath) -> PlanAccepted:
    """Discard a plan."""
    return plan_writes.discard(services, request.user, plan_id)


router = Router(
    "/api/v1",
    route_handlers=[create_plan, list_plans, get_plan, list_plan_items, apply_plan, discard_plan],
    tags=["Plans"],
)
