"""Plans: what proposed changes would do to every price; applied, discarded, or taken back."""

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.params import Parameter

from api import plan_writes
from api.console import charts
from api.console.forms import EMPTY, Form
from api.console.rendering import back, links, page
from api.edge.identity import needs
from api.http import cursors
from api.http.answers import CONSOLE_PATH
from api.http.problems import problem_of
from api.routes.undo import NewUndo
from api.services import Services
from shared.errors import InvalidInput, PricingError, StalePlan
from shared.plans import contents, store, views
from shared.plans.requested import NewPlan
from shared.plans.views import ItemFilter, Order
from shared.postgres.pools import Conn
from shared.pricing.product import MAX_CATEGORY
from shared.rulebook import diff
from shared.rulebook import store as rulebook
from shared.rulebook.diff import Difference
from shared.rulebook.documents import read

PATH = f"{CONSOLE_PATH}/plans"
PAGE, ITEMS = 50, 100
# Of a plan with more changes, the rules before and after are not compared.
MOST_COMPARED = 100
# The type of the problem of a plan whose inputs have changed.
STALE = problem_of(StalePlan(), "").type
EXAMPLE = '[{"promotion": {"id": "spring", "percent": "10", "applies_to": {"categories": ["grocery"]}}}]'


@get("/plans", guards=[needs("catalogue:read")], sync_to_thread=True)
def plans(request: Request[Any, Any, Any], services: Services, cursor: str | None = None) -> Response[str]:
    """List plans, the newest first."""
    return _listed(request, services, cursor)


@post("/plans", guards=[needs("catalogue:read")], sync_to_thread=True)
def create(request: Request[Any, Any, Any], services: Services, form: Form) -> Response[str]:
    """Plan the changes that were typed as JSON."""
    try:
        changes = form.text("changes").encode()
        made = plan_writes.make(services, request.user, read(b'{"changes": ' + changes + b"}", NewPlan))
    except PricingError as error:
        return _listed(request, services, None, form.failed(error))
    return back(f"{PATH}/{made.plan_id}", "The plan is made. Nothing is changed before you apply it.")


@get("/plans/{plan_id:uuid}", guards=[needs("catalogue:read")], sync_to_thread=True)
def plan(request: Request[Any, Any, Any], services: Services, plan_id: UUID) -> Response[str]:
    """Show a plan."""
    return _shown(request, services, plan_id)


@get("/plans/{plan_id:uuid}/prices", guards=[needs("catalogue:read")], sync_to_thread=True)
def prices(
    request: Request[Any, Any, Any],
    services: Services,
    plan_id: UUID,
    order: Order = "product_id",
    category: Annotated[str, Parameter(max_length=MAX_CATEGORY)] = "",
    held: Literal["", "true"] = "",
    cursor: str | None = None,
) -> Response[str]:
    """List the prices that move, or are held, by a plan."""
    after: views.ItemPosition | None = cursors.decode(cursor, views.ItemPosition)
    chosen = ItemFilter(category=category or None, held=True if held else None)
    with services.transaction() as conn:
        found, last = cursors.split(views.items(conn, plan_id, chosen, order, ITEMS + 1, after), ITEMS)
    filters = {"order": order, "category": category, "held": held}
    shown = links(f"{PATH}/{plan_id}/prices", filters, cursor, views.position_of(last) if last else None)
    return page(request, "plan-prices.html", plan_id=plan_id, items=found, **shown)


@post("/plans/{plan_id:uuid}/apply", guards=[needs("catalogue:read")], sync_to_thread=True)
def apply(request: Request[Any, Any, Any], services: Services, form: Form, plan_id: UUID) -> Response[str]:
    """Publish a plan."""
    try:
        plan_writes.apply(services, request.user, plan_id)
    except PricingError as error:
        return _shown(request, services, plan_id, form.failed(error))
    return back(f"{PATH}/{plan_id}", "The rules are in force; the prices follow.")


@post("/plans/{plan_id:uuid}/discard", guards=[needs("catalogue:read")], sync_to_thread=True)
def discard(request: Request[Any, Any, Any], services: Services, form: Form, plan_id: UUID) -> Response[str]:
    """Drop a plan."""
    try:
        plan_writes.discard(services, request.user, plan_id)
    except PricingError as error:
        return _shown(request, services, plan_id, form.failed(error))
    return back(PATH, "The plan is discarded.")


@post("/undo", guards=[needs("operate"), needs("catalogue:read")], sync_to_thread=True)
def undo(request: Request[Any, Any, Any], services: Services, form: Form) -> Response[str]:
    """Plan to take something back."""
    try:
        made = plan_writes.make_undo(services, request.user, form.read(NewUndo).asked)
    except PricingError as error:
        return _listed(request, services, None, form.failed(error))
    return back(f"{PATH}/{made.plan_id}", "This plan takes it back. Nothing is changed before you apply it.")


def _listed(
    request: Request[Any, Any, Any], services: Services, cursor: str | None, form: Form = EMPTY
) -> Response[str]:
    after: views.Position | None = cursors.decode(cursor, views.Position)
    with services.transaction() as conn:
        found, last = cursors.split(views.page(conn, PAGE + 1, after), PAGE)
    values: dict[str, Any] = {
        "plans": found,
        "titles": {one.plan_id: title(one) for one in found},
        "form": form,
        "example": EXAMPLE,
        **links(PATH, {}, cursor, (last.created_at, last.plan_id) if last else None),
    }
    return page(request, "plans.html", 422 if form.problem else 200, **values)


def _shown(request: Request[Any, Any, Any], services: Services, plan_id: UUID, form: Form = EMPTY) -> Response[str]:
    with services.transaction() as conn:
        found = views.view(conn, plan_id)
        differences = _of_rules(conn, found)
    result = found.result
    values: dict[str, Any] = {
        "plan": found,
        "title": title(found),
        "changes": msgspec.json.format(msgspec.json.encode(found.changes)).decode(),
        "differences": differences,
        "stale": STALE,
        "form": form,
        "bars": charts.histogram(result["histogram"]) if result else [],
        "public_bars": charts.histogram(result["public"]["histogram"]) if result else [],
    }
    is_part = request.headers.get("hx-target", "").endswith("now")
    status = form.problem.status if form.problem else 200
    return page(request, "plan-now.html" if is_part else "plan.html", status, **values)


def _of_rules(conn: Conn, plan: views.PlanView) -> list[Difference]:
    """What a plan changes of the rules: of those in force while it can be applied, else of those that it was made for.

    A plan writes whole parts: one that was made again also puts back what another person changed of its parts.
    """
    if plan.result is None or not 0 < len(plan.changes) <= MOST_COMPARED:
        return []
    changes = store.of_task(conn, plan.task_id).changes
    ready = plan.status == "ready"
    before = rulebook.active(conn) if ready else rulebook.by_version(conn, plan.rulebook_version)
    try:
        after = contents.revised(before.rulebook, changes)
    except InvalidInput:  # they no longer fit: its application says so
        return []
    return diff.differences(before.rulebook, after)


def title(plan: views.PlanView) -> str:
    """What a plan changes, in a few words."""
    if plan.undo is not None:
        [(subject, name)] = plan.undo.items()
        return f"Undo of {subject} {name}"
    names = []
    for change in plan.changes:
        [(kind, content)] = change.items()
        if kind == "delete":
            [(kind, content)] = content.items()
            names.append(f"delete {kind.replace('_', ' ')} {content if isinstance(content, str) else ''}".strip())
        else:
            named = next(
                (content[name] for name in ("id", "code", "market", "list", "product_id") if name in content), ""
            )
            names.append(f"{kind.replace('_', ' ')} {named}".strip())
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""  # a title
    return _begun(", ".join(names[:3]) + more)


def _begun(text: str) -> str:
    return text[:1].upper() + text[1:]


HANDLERS = (plans, create, plan, prices, apply, discard, undo)
