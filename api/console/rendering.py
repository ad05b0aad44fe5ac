"""Pages: their templates, headers and common values; and redirects back to a page with a note."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import MediaType, Request, Response

from api.console import access, assets, navigation, shown
from api.console.forms import EMPTY
from api.http import cursors
from shared import VERSION
from shared.access import scopes
from shared.access.scopes import Scope

THEME_COOKIE = "pricing_theme"
NOTE = "note"
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
}


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(shown.FILTERS)
    environment.globals.update({"asset": assets.address, "version": VERSION, "no_form": EMPTY})
    return environment


def page(request: Request[Any, Any, Any], template: str, status: int = 200, **values: object) -> Response[str]:
    """A page; the template also has the caller's key, what it may do, and the token of forms."""
    key = request.scope.get("user")

    def may(scope: Scope) -> bool:
        return key is not None and scopes.allow(key.scopes, scope)

    theme = request.cookies.get(THEME_COOKIE, "")
    common = {
        "key": key,
        "may": may,
        "csrf": access.csrf_of(access.token_of(request)),
        "navigation": navigation.of(key) if key is not None else [],
        "current": navigation.current(request.url.path),
        "address": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
        "theme": theme if theme in {"light", "dark"} else "",
        "note": request.query_params.get(NOTE, ""),
        "is_part": "hx-request" in request.headers,
    }
    text = _templates().get_template(template).render(common | values)
    return Response(text, status_code=status, media_type=MediaType.HTML, headers=HEADERS)


def links(path: str, filters: Mapping[str, object], cursor: str | None, position: object | None) -> dict[str, Any]:
    """The values of a list's links: its `filters`, and the addresses `first`, `following` and `live`.

    Args:
        path: The list's path.
        filters: Those of the address; empty ones are left out.
        cursor: The address's cursor; None: this is the first page, which may ask for itself again.
        position: Of the last item; None: no page follows.
    """
    given = {name: value for name, value in filters.items() if value}
    here = f"{path}?{urlencode(given)}" if given else path
    following = f"{path}?{urlencode(given | {'cursor': cursors.encode(position)})}" if position else ""
    return {"filters": filters, "first": here if cursor else "", "following": following, "live": "" if cursor else here}


def part(template: str, **values: object) -> str:
    """A part of a page that is the same for everyone."""
    return _templates().get_template(template).render(values)


def is_results(request: Request[Any, Any, Any]) -> bool:
    """Whether a list is asked for without the page around it."""
    return request.headers.get("hx-target", "").endswith("results")


def to(path: str) -> Response[str]:
    """The browser goes on to another page."""
    return Response("", status_code=303, media_type=MediaType.HTML, headers=HEADERS | {"location": path})


def back(path: str, note: str) -> Response[str]:
    """The browser goes back to a page after a write, which shows a note."""
    return to(f"{quote(path, safe='/%')}?{urlencode({NOTE: note})}")
