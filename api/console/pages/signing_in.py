"""Signing in by an API key or by a link, signing out, and the choice of light or dark."""

import asyncio
from typing import Any
from urllib.parse import urlencode

import msgspec
from litestar import Request, Response, get, post

from api.console import access
from api.console.access import COOKIE, GUEST_COOKIE
from api.console.forms import Form
from api.console.rendering import THEME_COOKIE, page, to
from api.http.answers import CONSOLE_PATH, SIGN_IN_PATH
from api.services import Services
from shared.access import sessions
from shared.access.keys import LiveKey
from shared.errors import Unauthorized, translated

_A_YEAR_S = 365 * 86_400


def address(behind: str) -> str:
    """The address of the sign-in that leads on to another page of the console."""
    return SIGN_IN_PATH if behind == CONSOLE_PATH else f"{SIGN_IN_PATH}?{urlencode({'next': behind})}"


def shown(
    request: Request[Any, Any, Any], problem: str = "", status: int = 200, *, behind: str = "", typed: str = ""
) -> Response[str]:
    """The page to sign in.

    Args:
        request: The request.
        problem: Why a person must sign in, or sign in again.
        status: Of the answer.
        behind: The page that the sign-in leads to; of a form that waits for a session, the path that takes it.
        typed: The fields of that form, in JSON.
    """
    cookie = access.guest(request)
    values = {
        "problem": problem,
        "csrf": access.csrf_of(str(cookie.value)),
        "next": _own(behind or request.query_params.get("next", CONSOLE_PATH)),
        "typed": typed,
    }
    answer = page(request, "sign-in.html", status, **values)
    answer.set_cookie(cookie)
    return answer


def again(request: Request[Any, Any, Any], problem: str, status: int, form: Form) -> Response[str]:
    """The page to sign in once more, with all that the form to sign in had but the key."""
    return shown(request, problem, status, behind=form.text("next"), typed=form.text("typed"))


def in_json(form: Form) -> str:
    """What was typed into a form that waits for a session."""
    return msgspec.json.encode(form.items()).decode()


@get("/sign-in")
async def sign_in_page(request: Request[Any, Any, Any]) -> Response[str]:
    """Show the page to sign in."""
    return shown(request)


@post("/sign-in")
async def sign_in(request: Request[Any, Any, Any], services: Services, form: Form) -> Response[str]:
    """Begin a session with a key."""
    try:
        key = await services.keys.find(form.text("key").strip())
    except Unauthorized:
        return again(request, "This key is not known, has expired or was revoked.", 401, form)
    request.scope["user"] = key  # for the audit log
    token = await asyncio.to_thread(_begin, services, key)
    if form.text("typed"):
        with translated():
            waiting = Form(_by_name(msgspec.json.decode(form.text("typed"), type=list[tuple[str, str]])))
        csrf = access.csrf_of(token)
        answer = page(request, "again.html", form=waiting, action=_own(form.text("next")), csrf=csrf)
    else:
        answer = to(_own(form.text("next", CONSOLE_PATH)))
    return _with_session(request, answer, token)


@get("/sign-in/{token:str}")
async def follow_link(request: Request[Any, Any, Any], services: Services, token: str) -> Response[str]:
    """Begin a session by a link of `just console`."""
    begun = await asyncio.to_thread(_follow, services, token)
    if begun is None:
        return shown(
            request, "This link was used already, or is older than five minutes. `just console` makes one.", 401
        )
    # The page leads on by itself: after a redirect, the browser would not send a strict cookie.
    return _with_session(request, page(request, "entering.html", key=None), begun)


@post("/sign-out")
async def sign_out(request: Request[Any, Any, Any], services: Services, form: Form) -> Response[str]:
    """End the session."""
    await asyncio.to_thread(_end, services, request.cookies.get(COOKIE, ""))
    answer = to(SIGN_IN_PATH)
    answer.set_cookie(access.cookie(request, COOKIE, ""))
    return answer


@post("/theme")
async def choose_theme(request: Request[Any, Any, Any], form: Form) -> Response[str]:
    """Keep the choice of light or dark in a cookie."""
    answer = to(_own(form.text("next")))
    answer.set_cookie(access.cookie(request, THEME_COOKIE, form.text("theme"), _A_YEAR_S))
    return answer


def _with_session(request: Request[Any, Any, Any], answer: Response[str], token: str) -> Response[str]:
    answer.set_cookie(access.cookie(request, COOKIE, token, sessions.LASTS_S))
    answer.set_cookie(access.cookie(request, GUEST_COOKIE, ""))
    return answer


def _own(path: str) -> str:
    """A path of the console, else its first page."""
    is_own = path == CONSOLE_PATH or path.startswith((f"{CONSOLE_PATH}/", f"{CONSOLE_PATH}?"))
    return path if is_own and path.isprintable() and "\\" not in path else CONSOLE_PATH


def _by_name(items: list[tuple[str, str]]) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for name, value in items:
        values.setdefault(name, []).append(value)
    return values


def _begin(services: Services, key: LiveKey) -> str:
    with services.transaction() as conn:
        return sessions.begin(conn, key.id)


def _follow(services: Services, token: str) -> str | None:
    with services.transaction() as conn:
        return sessions.follow_link(conn, token)


def _end(services: Services, token: str) -> None:
    with services.transaction() as conn:
        sessions.end(conn, token)


HANDLERS = (sign_out, choose_theme)
OPEN_HANDLERS = (sign_in_page, sign_in, follow_link)
