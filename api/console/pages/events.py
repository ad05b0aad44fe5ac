"""Market events: listed as they come, and one event's way."""

from typing import Annotated, Any, Literal

from litestar import Request, Response, get, post
from litestar.params import Parameter, QueryParameter

from api.console.rendering import back, is_results, links, page
from api.console.shown import segment
from api.console.trace_chart import trace_chart
from api.edge.identity import needs
from api.http import cursors
from api.http.answers import CONSOLE_PATH
from api.services import Services
from shared.market_events import views
from shared.market_events.events import EVENT_TYPES
from shared.market_events.views import EventStatus
from shared.pricing.product import MAX_ID
from shared.settings import TRACE_FOLDER
from shared.telemetry.trace_files import TraceFiles

PATH = f"{CONSOLE_PATH}/events"
PAGE = 50


@get("/events", guards=[needs("catalogue:read")], sync_to_thread=True)
def events(
    request: Request[Any, Any, Any],
    services: Services,
    status: EventStatus | Literal[""] = "",
    type_: Annotated[str, QueryParameter(name="type", max_length=64)] = "",
    product_id: Annotated[str, Parameter(max_length=MAX_ID)] = "",
    cursor: str | None = None,
) -> Response[str]:
    """List the events that fit the filters in the address, the newest first."""
    after: views.Position | None = cursors.decode(cursor, views.Position)
    with services.transaction() as conn:
        found = views.page(
            conn, [status] if status else [], [type_] if type_ else [], PAGE + 1, after, product_id or None
        )
    found, last = cursors.split(found, PAGE)
    filters = {"status": status, "type": type_, "product_id": product_id}
    position = (last.received_at, last.source, last.event_id) if last else None
    values: dict[str, Any] = {
        "events": found,
        "types": list(EVENT_TYPES),
        **links(PATH, filters, cursor, position),
    }
    return page(request, "events-results.html" if is_results(request) else "events.html", **values)


@get("/events/{event_id:str}", guards=[needs("catalogue:read")], sync_to_thread=True)
def event(
    request: Request[Any, Any, Any], services: Services, event_id: str, source: str | None = None
) -> Response[str]:
    """Show an event."""
    with services.transaction() as conn:
        found = views.view(conn, event_id, source)
        traceback = views.traceback_of(conn, event_id, found.source) if found.status == "failed" else None
    drawn = trace_chart(TraceFiles(services.settings.home_dir / TRACE_FOLDER).trace(found.trace_id))
    return page(request, "event.html", event=found, traceback=traceback, trace=drawn)


@post("/events/{event_id:str}/replay", guards=[needs("operate")], sync_to_thread=True)
def replay(services: Services, event_id: str, source: str) -> Response[str]:
    """Accept a rejected or failed event again."""
    with services.transaction() as conn:
        views.replay(conn, event_id, source)
    return back(f"{PATH}/{segment(event_id)}", "The event is accepted again.")


HANDLERS = (events, event, replay)
