"""Access: API keys, made and revoked, and the audit log."""

from typing import Annotated, Any

from litestar import Request, Response, get, post
from litestar.params import Parameter

from api.console.forms import EMPTY, Form
from api.console.rendering import back, links, page
from api.edge.identity import needs
from api.http import cursors
from api.http.answers import CONSOLE_PATH
from api.routes import keys as api
from api.routes.keys import MadeKey, NewKey
from api.services import Services
from shared.access import audit, keys
from shared.access.scopes import SCOPES
from shared.errors import InvalidInput, PricingError

PATH = f"{CONSOLE_PATH}/access"
PAGE, ENTRIES = 100, 50
# What each scope allows, for the form.
ALLOWS = {
    "prices:read": "prices for customers and groups, past prices, the stream of changes",
    "catalogue:read": "look at everything: costs, competitors, history, this console",
    "catalogue:write": "products, imports, manual prices",
    "events:write": "report market events",
    "rules:write": "policy, markets, price lists, promotions, rates",
    "operate": "holds, breaker, pauses, jobs, undo, webhooks",
    "admin": "everything, and keys",
}


@get("/access", guards=[needs("admin")], sync_to_thread=True)
def access(request: Request[Any, Any, Any], services: Services, cursor: str | None = None) -> Response[str]:
    """List the keys, the newest first."""
    return _shown(request, services, cursor)


@post("/access/keys", guards=[needs("admin")], sync_to_thread=True)
def create_key(request: Request[Any, Any, Any], services: Services, form: Form) -> Response[str]:
    """Make a key; the answer shows it once."""
    try:
        if not form.all("scopes"):
            raise InvalidInput("tick at least one scope", "$.scopes")
        made = api.make(services, request.user, form.read(NewKey, scopes=form.all("scopes")))
    except PricingError as error:
        return _shown(request, services, None, form.failed(error))
    return _shown(request, services, None, made=made)


@post("/access/keys/{key_id:int}/revoke", guards=[needs("admin")], sync_to_thread=True)
def revoke_key(services: Services, key_id: int) -> Response[str]:
    """Revoke a key."""
    found = api.revoke(services, key_id)
    return back(PATH, f"The key {found.name} is revoked. Every process refuses it within two seconds.")


@get("/access/audit", guards=[needs("admin")], sync_to_thread=True)
def audit_log(
    request: Request[Any, Any, Any],
    services: Services,
    key_id: Annotated[int | None, Parameter(ge=1, le=keys.LARGEST_ID)] = None,
    cursor: str | None = None,
) -> Response[str]:
    """List the writes, the newest first."""
    before: keys.Position | None = cursors.decode(cursor, keys.Position)
    with services.transaction() as conn:
        wanted = audit.Filter(key_id)
        entries, last = cursors.split(audit.listed(conn, wanted, ENTRIES + 1, before), ENTRIES)
    shown = links(f"{PATH}/audit", {"key_id": key_id}, cursor, last.id if last else None)
    return page(request, "audit.html", entries=entries, key_id=key_id, **shown)


def _shown(
    request: Request[Any, Any, Any],
    services: Services,
    cursor: str | None,
    form: Form = EMPTY,
    made: MadeKey | None = None,
) -> Response[str]:
    before: keys.Position | None = cursors.decode(cursor, keys.Position)
    with services.transaction() as conn:
        found, last = cursors.split(keys.listed(conn, PAGE + 1, before), PAGE)
    values: dict[str, Any] = {
        "keys": found,
        "form": form,
        "made": made,
        "scopes": [(scope, ALLOWS[scope]) for scope in SCOPES],
        **links(PATH, {}, cursor, last.id if last else None),
    }
    return page(request, "access.html", 422 if form.problem else 200, **values)


HANDLERS = (access, create_key, revoke_key, audit_log)
