"""The console as a part of the application: its pages behind their guards, and its errors as pages."""

import json
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from litestar import Request, Response, Router, get
from litestar.di import Provide
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler

from api.console import access, assets
from api.console.access import NoSession, StaleForm
from api.console.forms import Form
from api.console.pages import (
    events,
    exports,
    holds,
    jobs,
    keys,
    live,
    overview,
    plans,
    product,
    products,
    rules,
    signing_in,
    trying,
)
from api.console.rendering import HEADERS, page, to
from api.http.answers import CONSOLE_PATH, LIVE_PATH, SIGN_IN_PATH
from api.http.negotiation import EVENT_STREAM
from api.http.problems import render

HANDLERS: tuple[ControllerRouterHandler, ...] = (
    *overview.HANDLERS,
    *live.HANDLERS,
    *products.HANDLERS,
    *exports.HANDLERS,
    *product.HANDLERS,
    *rules.HANDLERS,
    *plans.HANDLERS,
    *holds.HANDLERS,
    *events.HANDLERS,
    *jobs.HANDLERS,
    *keys.HANDLERS,
    *trying.HANDLERS,
    *signing_in.HANDLERS,
)


@get("/", include_in_schema=False)
async def root() -> Redirect:
    """Lead people to the console."""
    return Redirect(CONSOLE_PATH, status_code=303)


def handlers() -> list[ControllerRouterHandler]:
    """Everything that the application serves for the console."""
    behind_sign_in = _router(*HANDLERS, guards=[access.signed_in])
    return [root, assets.asset, behind_sign_in, _router(*signing_in.OPEN_HANDLERS)]


def _router(*route_handlers: ControllerRouterHandler, **more: Any) -> Router:
    return Router(
        CONSOLE_PATH,
        route_handlers=route_handlers,
        dependencies={"form": Provide(_form, sync_to_thread=False)},
        before_request=access.before,
        exception_handlers={Exception: _as_page},
        include_in_schema=False,
        **more,
    )


def _form(request: Request[Any, Any, Any]) -> Form:
    return access.form_of(request)


def _as_page(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """The page of an error, in the words of the API's problems."""
    match error:
        case NoSession():
            return _sign_in_first(request, error)
        case StaleForm() if access.session_of(request) is not None:
            return page(request, "again.html", 409, form=error.form, action=request.url.path)
        case StaleForm():
            return signing_in.again(request, "The page was open for too long. Try again.", 409, error.form)
    rendered = render(error, request.url.path, getattr(error, "headers", None))
    problem = json.loads(rendered.body)
    typed = access.typed_in(request)
    if typed is not None and request.url.path == SIGN_IN_PATH:
        answer = signing_in.again(request, f"{problem['detail']}. Try again.", rendered.status, typed)
    else:
        csrf = access.csrf_of(request.cookies.get(access.COOKIE, ""))
        answer = page(request, "problem.html", rendered.status, problem=problem, typed=typed, csrf=csrf)
    answer.headers.update({name.decode(): value.decode() for name, value in rendered.headers if name == b"retry-after"})
    return answer


def _sign_in_first(request: Request[Any, Any, Any], error: NoSession) -> Response[Any]:
    address = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if error.form is not None:
        # The text that was typed goes along, and is shown again behind the sign-in.
        why, typed = "Your session has ended. Sign in again; nothing is lost.", signing_in.in_json(error.form)
        return signing_in.shown(request, why, 401, behind=request.url.path, typed=typed)
    if request.url.path == LIVE_PATH:
        return Response(live.END, media_type=EVENT_STREAM, headers=HEADERS)
    if "hx-request" in request.headers:
        shown = urlsplit(request.headers.get("hx-current-url", ""))
        here = urlunsplit(("", "", shown.path, shown.query, ""))
        return Response("", status_code=401, headers=HEADERS | {"hx-redirect": signing_in.address(here)})
    return to(signing_in.address(address))
