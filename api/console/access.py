"""Who uses the console: a session in a cookie, and the token that each form must have."""

import asyncio
import hashlib
import hmac
import secrets
from typing import Any, cast

from litestar import Request
from litestar.datastructures import Cookie
from litestar.exceptions import HTTPException
from litestar.handlers import BaseRouteHandler

from api.console.forms import Form
from api.edge.identity import Connection
from api.http import negotiation
from api.http.answers import CONSOLE_PATH
from api.services import Services
from shared.access import sessions
from shared.access.sessions import Session

# A session has the one. Before it begins, the form to sign in has the other: it needs a token, too.
COOKIE, GUEST_COOKIE = "pricing_session", "pricing_guest"
FORM_TYPE = "application/x-www-form-urlencoded"
_FORM, _SESSION = "console_form", "console_session"


class StaleForm(Exception):
    """A form with the token of another session, or with none; it has what was typed."""

    def __init__(self, form: Form) -> None:
        super().__init__("the form is of another session")
        self.form = form


class NoSession(Exception):
    """There is no session, or it has ended; `form` is what was typed meanwhile."""

    def __init__(self, form: Form | None) -> None:
        super().__init__("there is no session, or it has ended")
        self.form = form


async def signed_in(connection: Connection, _: BaseRouteHandler) -> None:
    """A guard of the console's pages: the caller has a session in force. The handler finds its key as `request.user`.

    Raises:
        NoSession: there is none, or it or its key is over.
        DatabaseUnavailable: PostgreSQL is away.
    """
    services: Services = connection.app.state.services
    request = cast(Request[Any, Any, Any], connection)
    # First of all, so that it is shown again whatever fails.
    form = await _typed(request) if request.method == "POST" else None
    session = await session_in_force(services, connection.cookies.get(COOKIE, ""))
    if session is None:
        raise NoSession(form)
    services.keys.note(session.key)
    connection.scope["user"] = session.key
    connection.scope["state"][_SESSION] = session


async def session_in_force(services: Services, token: str) -> Session | None:
    """The session of a token; None: there is none, or it or its key is over.

    Raises:
        DatabaseUnavailable: PostgreSQL is away.
    """
    return await asyncio.to_thread(_find, services, token) if token else None


async def before(request: Request[Any, Any, Any]) -> None:
    """Check a request behind its guards; a form is read, and must have its session's token.

    Raises:
        StaleForm: it has not.
        HTTPException: 415: the body is no form.
    """
    await negotiation.check(request)
    if request.method != "POST":
        return
    form = await _typed(request)
    if not hmac.compare_digest(form.text("csrf").encode(), csrf_of(token_of(request)).encode()):
        raise StaleForm(form)


def form_of(request: Request[Any, Any, Any]) -> Form:
    """The form of a request that `before` has checked."""
    form: Form = request.scope["state"][_FORM]
    return form


def typed_in(request: Request[Any, Any, Any]) -> Form | None:
    """The form of a request, checked or not; None: it has none."""
    return request.scope["state"].get(_FORM)


def session_of(request: Request[Any, Any, Any]) -> Session | None:
    """The session of a request; None on the page to sign in."""
    return request.scope["state"].get(_SESSION)


def token_of(request: Request[Any, Any, Any]) -> str:
    """The token in the request's cookie: of its session, else of the guest."""
    return request.cookies.get(COOKIE if session_of(request) else GUEST_COOKIE, "")


def csrf_of(token: str) -> str:
    """The token of a session's forms. Only who has the session's own token can compute it."""
    return hmac.new(token.encode(), b"csrf", hashlib.sha256).hexdigest() if token else "none"


def cookie(request: Request[Any, Any, Any], name: str, value: str, lasts_s: int | None = None) -> Cookie:
    """A cookie for the console only, hidden from scripts and never sent from other sites.

    Args:
        request: Behind TLS, the cookie is sent over TLS only.
        name: The cookie's name.
        value: Empty: the cookie is deleted.
        lasts_s: None: until the browser is closed.
    """
    is_secure = request.url.scheme == "https" or "https" in request.headers.get("x-forwarded-proto", "")
    return Cookie(
        key=name,
        value=value,
        path=CONSOLE_PATH,
        max_age=lasts_s if value else 0,
        httponly=True,
        samesite="strict",
        secure=is_secure,
    )


def guest(request: Request[Any, Any, Any]) -> Cookie:
    """The cookie before a session begins: that of the request, or a new one."""
    return cookie(request, GUEST_COOKIE, request.cookies.get(GUEST_COOKIE) or secrets.token_urlsafe(32))


async def _typed(request: Request[Any, Any, Any]) -> Form:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM_TYPE:
        raise HTTPException(status_code=415, detail=f"a form is sent as {FORM_TYPE}")
    form = Form.of_body(await request.body())
    request.scope["state"][_FORM] = form
    return form


def _find(services: Services, token: str) -> Session | None:
    with services.transaction() as conn:
        return sessions.find(conn, token)
