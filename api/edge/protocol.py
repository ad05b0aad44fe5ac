"""The rules of HTTP that hold for every answer of the framework: methods, paths, broken bodies, headers."""

import base64
import hashlib
import re
from collections.abc import Iterable
from urllib.parse import unquote

from litestar.enums import ScopeType
from litestar.exceptions import ClientException, NotFoundException
from litestar.types import ASGIApp, HTTPResponseStartEvent, HTTPScope, Message, Receive, ReceiveMessage, Scope, Send

from api.edge.cors import Cors
from api.http.negotiation import SLASH
from api.http.problems import Rendered, render

NOSNIFF = (b"x-content-type-options", b"nosniff")
# Of the answers only these are pages: Swagger UI, which has one script within the page, and inline styles.
_OF_PAGES = ((b"x-frame-options", b"DENY"), (b"referrer-policy", b"no-referrer"))
_POLICY = (
    "default-src 'none'; script-src 'self'{scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_INLINE_SCRIPT = re.compile(rb"<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", re.DOTALL)
# A method that no route has: the framework then lists the methods of the path.
_NO_METHOD = "TRACE"


class Protocol:
    """Wraps the framework.

    HEAD is GET without its body. OPTIONS and 405 name the methods of the path. A body that breaks off is 400.
    """

    def __init__(self, app: ASGIApp, cors: Cors) -> None:
        self._app, self._cors = app, cors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        answer = _Answer(scope["method"], scope["headers"], self._cors, send)
        # PostgreSQL stores no NUL, so no resource has one in its path.
        if SLASH in scope["path"]:
            await answer.send_rendered(render(NotFoundException(), scope["path"]))
            return
        method, path = scope["method"], scope["path"]
        _prepare(scope)
        try:
            await self._app(scope, _unbroken(receive), answer.send)
        finally:
            scope["method"], scope["path"] = method, path


class _Answer:
    """Passes an answer on, with its headers completed."""

    def __init__(self, method: str, asked: Iterable[tuple[bytes, bytes]], cors: Cors, send: Send) -> None:
        self._method, self._asked, self._cors, self._send = method, asked, cors, send
        self._held: HTTPResponseStartEvent | None = None

    async def send_rendered(self, rendered: Rendered) -> None:
        """Send a complete response."""
        await self.send({"type": "http.response.start", "status": rendered.status, "headers": rendered.headers})
        await self.send({"type": "http.response.body", "body": rendered.body, "more_body": False})

    async def send(self, message: Message) -> None:
        """ASGI's `send`; the start is held until the body is known."""
        if message["type"] == "http.response.start":
            self._held = message
            return
        if message["type"] == "http.response.body":
            if self._held is not None:
                start, self._held = self._held, None
                self._complete(start, message["body"])
                await self._send(start)
            if self._method in {"HEAD", "OPTIONS"}:
                message["body"] = b""
        await self._send(message)

    def _complete(self, start: HTTPResponseStartEvent, body: bytes) -> None:
        headers, allowed = [*start["headers"], NOSNIFF], b""
        if start["status"] == 405:
            allowed = _allowed(headers)
            if self._method == "OPTIONS":
                start["status"], headers = 204, [NOSNIFF]
            headers = [*(header for header in headers if header[0] != b"allow"), (b"allow", allowed)]
        if any(name == b"content-type" and value.startswith(b"text/html") for name, value in headers):
            headers += [*_OF_PAGES, (b"content-security-policy", _policy(body))]
        start["headers"] = [*headers, *self._cors.headers(self._asked, allowed)]


def _prepare(scope: HTTPScope) -> None:
    """Give the framework a method and a path that it can route."""
    if scope["method"] == "HEAD":
        scope["method"] = "GET"
    elif scope["method"] == "OPTIONS":
        scope["method"] = _NO_METHOD  # type: ignore[typeddict-item] # the type does not have it
    raw = scope.get("raw_path") or b""
    if b"%2f" in raw.lower():
        scope["path"] = "/".join(unquote(part).replace("/", SLASH) for part in raw.decode("latin-1").split("/"))


def _unbroken(receive: Receive) -> Receive:
    """ASGI's `receive`; raises ClientException where the client goes away, or sends a bad chunk, within a body."""
    is_whole = False

    async def receive_unbroken() -> ReceiveMessage:
        nonlocal is_whole
        message = await receive()
        if message["type"] == "http.request":
            is_whole = not message["more_body"]
        elif not is_whole:
            raise ClientException("the body of the request breaks off")
        return message

    return receive_unbroken


def _allowed(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The methods of a path: the framework's list, with HEAD where it has GET."""
    found = {method for name, value in headers if name == b"allow" for method in value.split(b", ")}
    return b", ".join(sorted(found | {b"HEAD"} if b"GET" in found else found))


def _policy(page: bytes) -> bytes:
    digests = [base64.b64encode(hashlib.sha256(script).digest()).decode() for script in _INLINE_SCRIPT.findall(page)]
    return _POLICY.format(scripts="".join(f" 'sha256-{digest}'" for digest in digests)).encode()
