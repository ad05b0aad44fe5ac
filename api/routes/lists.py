"""Lists of products, tasks and market events: filtered, and paged by a cursor."""

from typing import Annotated

import msgspec
from litestar import Router, get
from litestar.params import Parameter, QueryParameter
from msgspec import Meta

from api.edge.identity import needs
from api.http import cursors
from api.http.problems import documented
from api.services import Services
from shared.catalogue import listing
from shared.catalogue.listing import ListedProduct, Search
from shared.jobs import views as task_views
from shared.jobs.views import TaskKind, TaskStatus, TaskView
from shared.market_events import views as event_views
from shared.market_events.views import EventStatus, EventView
from shared.pricing.product import MAX_CATEGORY, MAX_ID

Limit = Annotated[int, Parameter(ge=1, le=1000, description="The largest number of items to return")]
Cursor = Annotated[str | None, Parameter(description="`next` of the page before, for the next page")]
Next = Annotated[
    str | None,
    Meta(description="The `cursor` of the next page; null: this is the last page", examples=["WyJQLTEwMCJd"]),
]


class ProductList(msgspec.Struct, frozen=True):
    """A page of products."""

    items: Annotated[list[ListedProduct], Meta(description="In the order of their ids")]
    next: Next


class TaskList(msgspec.Struct, frozen=True):
    """A page of background jobs."""

    items: Annotated[list[TaskView], Meta(description="Newest first")]
    next: Next


class EventList(msgspec.Struct, frozen=True):
    """A page of market events."""

    items: Annotated[list[EventView], Meta(description="Newest first")]
    next: Next


@get(
    "/products",
    guards=[needs("catalogue:read")],
    security=[{"key": ["catalogue:read"]}],
    sync_to_thread=True,
    operation_id="listProducts",
    tags=["Products"],
    responses=documented(401, 403, 422, 503),
    summary="Products, by text, category and tag",
    description="In the order of their ids. A text that few of millions of products have takes too long without a "
    "category: 503 after 5 s. `words` and `tag` are fast.",
)
def list_products(
    services: Services,
    text: Annotated[
        str | None,
        QueryParameter(
            name="query", min_length=1, max_length=200, description="Part of the id or the name, in any case"
        ),
    ] = None,
    words: Annotated[
        str | None,
        Parameter(
            min_length=1,
            max_length=200,
            description="The beginning of the id, or beginnings of words of the name, category, brand and tags, in any "
            "case; all must fit. Fast among millions of products",
        ),
    ] = None,
    category: Annotated[
        str | None, Parameter(min_length=1, max_length=MAX_CATEGORY, description="Of this category only")
    ] = None,
    tag: Annotated[str | None, Parameter(min_length=1, max_length=64, description="With this tag only")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> ProductList:
    """List products."""
    after: str | None = cursors.decode(cursor, str)
    search = Search(text=text, words=words, category=category, tag=tag)
    with services.transaction() as conn:
        items, last = cursors.split(
            listing.page(conn, search, ListedProduct, limit + 1, (after,) if after else None), limit
        )
    return ProductList(items, cursors.encode(last.product_id) if last else None)


@get(
    "/tasks",
    guards=[needs("catalogue:read")],
    security=[{"key": ["catalogue:read"]}],
    sync_to_thread=True,
    operation_id="listTasks",
    tags=["Tasks"],
    responses=documented(401, 403, 422, 503),
    summary="Background jobs, by status and kind",
    description="Newest first. `status` and `kind` may be repeated.",
)
def list_tasks(
    services: Services,
    status: Annotated[list[TaskStatus] | None, Parameter(description="Of these statuses only")] = None,
    kind: Annotated[list[TaskKind] | None, Parameter(description="Of these kinds only")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> TaskList:
    """List tasks."""
    after: task_views.Position | None = cursors.decode(cursor, task_views.Position)
    with services.transaction() as conn:
        found = task_views.page(conn, status or [], kind or [], limit + 1, after)
    items, last = cursors.split(found, limit)
    return TaskList(items, cursors.encode((last.created_at, last.task_id)) if last else None)


@get(
    "/market-events",
    guards=[needs("catalogue:read")],
    security=[{"key": ["catalogue:read"]}],
    sync_to_thread=True,
    operation_id="listMarketEvents",
    tags=["Market events"],
    responses=documented(401, 403, 422, 503),
    summary="Market events, by status, type and product",
    description="Newest first. `status` and `type` may be repeated.",
)
def list_market_events(
    services: Services,
    status: Annotated[list[EventStatus] | None, Parameter(description="Of these statuses only")] = None,
    kind: Annotated[
        list[str] | None, QueryParameter(name="type", max_items=20, description="Of these types only")
    ] = None,
    product_id: Annotated[
        str | None, Parameter(min_length=1, max_length=MAX_ID, description="About this product only")
    ] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> EventList:
    """List market events."""
    after: event_views.Position | None = cursors.decode(cursor, event_views.Position)
    with services.transaction() as conn:
        found = event_views.page(conn, status or [], kind or [], limit + 1, after, product_id)
    items, last = cursors.split(found, limit)
    return EventList(items, cursors.encode((last.received_at, last.source, last.event_id)) if last else None)


router = Router("/api/v1", route_handlers=[list_products, list_tasks, list_market_events])
