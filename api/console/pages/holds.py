"""Holds: the targets that wait for a person, approved or refused one by one or several at once."""

from typing import Annotated, Any, Literal

from litestar import Request, Response, get, post
from litestar.params import Parameter

from api.console.forms import EMPTY, Form
from api.console.rendering import back, links, page
from api.edge.identity import needs
from api.http import cursors
from api.http.answers import CONSOLE_PATH
from api.routes import breaker as breaker_api
from api.routes import holds as api
from api.routes.breaker import BreakerReset
from api.routes.holds import Answered, HoldsAnswer
from api.services import Services
from shared.catalogue import listing
from shared.errors import InvalidInput, PricingError
from shared.prices import breaker
from shared.prices import holds as store
from shared.prices.holds import HoldFilter, HoldStatus
from shared.pricing.product import MAX_CATEGORY, MAX_ID
from shared.pricing.state import HoldCode
from shared.rulebook import store as rulebook

PATH = f"{CONSOLE_PATH}/holds"
PAGE = 100


@get("/holds", guards=[needs("catalogue:read")], sync_to_thread=True)
def holds(
    request: Request[Any, Any, Any],
    services: Services,
    status: HoldStatus = "open",
    product_id: Annotated[str, Parameter(max_length=MAX_ID)] = "",
    category: Annotated[str, Parameter(max_length=MAX_CATEGORY)] = "",
    code: HoldCode | Literal[""] = "",
    cursor: str | None = None,
) -> Response[str]:
    """List the holds that fit the filters in the address, the longest waiting first."""
    chosen = HoldFilter(product_id=product_id or None, category=category or None, code=code or None)
    return _shown(request, services, status, chosen, cursor)


@post("/holds/approve", guards=[needs("operate")], sync_to_thread=True)
def approve(request: Request[Any, Any, Any], services: Services, form: Form) -> Response[str]:
    """Publish the targets of the ticked holds."""
    try:
        done = api.approve(services, request.user, _answer(form))
    except PricingError as error:
        return _shown(request, services, "open", HoldFilter(), None, form.failed(error))
    return back(PATH, _said(done, "published"))


@post("/holds/refuse", guards=[needs("operate")], sync_to_thread=True)
def refuse(request: Request[Any, Any, Any], services: Services, form: Form) -> Response[str]:
    """Keep the prices of the ticked holds."""
    try:
        done = api.refuse(services, request.user, _answer(form))
    except PricingError as error:
        return _shown(request, services, "open", HoldFilter(), None, form.failed(error))
    return back(PATH, _said(done, "refused: the price stays until the next decision"))


@post("/breaker/reset", guards=[needs("operate")], sync_to_thread=True)
def reset_breaker(request: Request[Any, Any, Any], services: Services, form: Form) -> Response[str]:
    """Let automation go on."""
    try:
        breaker_api.reset(services, request.user, form.read(BreakerReset))
    except PricingError as error:
        return _shown(request, services, "open", HoldFilter(), None, reset=form.failed(error))
    return back(PATH, "Automation goes on. The prices that the breaker held are decided again.")


def _answer(form: Form) -> HoldsAnswer:
    ticked = form.all("hold_ids")
    if not ticked:
        raise InvalidInput("tick at least one price", "$.hold_ids")
    return form.read(HoldsAnswer, hold_ids=ticked)


def _said(done: Answered, what: str) -> str:
    failed = f" {done.failed:,} could not be decided." if done.failed else ""
    failed += f" {done.left:,} wait for another key: yours is behind their targets." if done.left else ""
    return f"{done.answered:,} {'target was' if done.answered == 1 else 'targets were'} {what}.{failed}"


def _shown(
    request: Request[Any, Any, Any],
    services: Services,
    status: HoldStatus,
    chosen: HoldFilter,
    cursor: str | None,
    form: Form = EMPTY,
    reset: Form = EMPTY,
) -> Response[str]:
    after: store.Position | None = cursors.decode(cursor, store.Position)
    with services.transaction() as conn:
        found, last = cursors.split(store.page(conn, status, chosen, PAGE + 1, after), PAGE)
        categories = listing.categories(conn)
        stopped = breaker.view(conn, rulebook.active_policy(conn).policy.breaker)
    filters = {
        "status": status,
        "product_id": chosen.product_id or "",
        "category": chosen.category or "",
        "code": chosen.code or "",
    }
    values: dict[str, Any] = {
        "holds": found,
        "categories": categories,
        "form": form,
        "breaker": stopped,
        "reset": reset,
        "own": request.user.id if services.settings.four_eyes else None,
        **links(PATH, filters, cursor, (last.since, last.hold_id) if last else None),
    }
    return page(request, "holds.html", 422 if form.problem or reset.problem else 200, **values)


HANDLERS = (holds, approve, refuse, reset_breaker)
