"""The rules of HTTP that hold for every answer of the framework: methods, paths, broken bodies, headers."""

import base64
import hashlib
import re
from collections.abc import Iterable
from urllib.parse import unquote

from litestar.enums import ScopeType
from litestar.exceptions import ClientException, NotFoundException
from litestar.types import (
    ASGIApp,
    HTTPResponseBodyEvent,
    HTTPResponseStartEvent,
    HTTPScope,
    Message,
    Receive,
    ReceiveMessage,
    Scope,
    Send,
)

from api.edge.cors import Cors
from api.http import etags, idempotency
from api.http.compression import compressed
from api.http.negotiation import SLASH
from api.http.problems import Rendered, render

NOSNIFF = (b"x-content-type-options", b"nosniff")
# Of Swagger UI, which has one script within the page, and inline styles. The console brings a policy of its own.
_OF_PAGES = ((b"x-frame-options", b"DENY"), (b"referrer-policy", b"no-referrer"))
_POLICY = (
    "default-src 'none'; script-src 'self'{scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_INLINE_SCRIPT = re.compile(rb"<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", re.DOTALL)
# A cache may keep an answer, and asks before each use whether it is still the answer.
_REVALIDATED = ((b"cache-control", b"private, no-cache"),)
_OF_BODIES = (b"content-type", b"content-length", b"content-disposition")
# A method that no route has: the framework then lists the methods of the path.
_NO_METHOD = "TRACE"


class Protocol:
    """Wraps the framework.

    HEAD is GET without its body. OPTIONS and 405 name the methods of the path. A body that breaks off is 400. What GET
    answers has an entity tag, and is 304 for a caller that has it.
    """

    def __init__(self, app: ASGIApp, cors: Cors) -> None:
        self._app, self._cors = app, cors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        answer = _Answer(scope, self._cors, send)
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

    def __init__(self, scope: HTTPScope, cors: Cors, send: Send) -> None:
        self._scope, self._cors, self._send = scope, cors, send
        self._method, self._asked = scope["method"], scope["headers"]
        self._held: HTTPResponseStartEvent | None = None
        self._is_empty = False

    async def send_rendered(self, rendered: Rendered) -> None:
        """Send a complete response."""
        await self.send({"type": "http.response.start", "status": rendered.status, "headers": rendered.headers})
        await self.send({"type": "http.response.body", "body": rendered.body, "more_body": False})

    async def send(self, message: Message) -> None:
        """ASGI's `send`; the start of an answer that is no stream is held until its body is known."""
        if message["type"] == "http.response.start":
            if _is_whole(message):
                self._held = message
                return
            self._complete(message, b"", is_whole=False)
        elif message["type"] == "http.response.body":
            if self._held is not None:
                start, self._held = self._held, None
                await self._begin(start, message)
            if self._is_empty:
                message["body"] = b""
        await self._send(message)

    async def _begin(self, start: HTTPResponseStartEvent, first: HTTPResponseBodyEvent) -> None:
        is_whole = not first["more_body"]
        await idempotency.end(self._scope, start["status"], start["headers"], first["body"])
        self._complete(start, first["body"], is_whole=is_whole)
        if is_whole and start["status"] != 304:
            start["headers"], first["body"] = await compressed(self._asked, list(start["headers"]), first["body"])
        await self._send(start)

    def _complete(self, start: HTTPResponseStartEvent, body: bytes, *, is_whole: bool) -> None:
        headers, allowed = [*start["headers"], NOSNIFF], b""
        if start["status"] == 405:
            allowed = _allowed(headers)
            if self._method == "OPTIONS":
                start["status"], headers = 204, [NOSNIFF]
            headers = [*(header for header in headers if header[0] != b"allow"), (b"allow", allowed)]
        is_page = _first(headers, b"content-type").startswith(b"text/html")
        if is_page and not _first(headers, b"content-security-policy"):
            headers += [*_OF_PAGES, (b"content-security-policy", _policy(body))]
        if start["status"] == 200 and self._method in {"GET", "HEAD"}:
            tag = _first(headers, b"etag")
            if not tag and is_whole and b"json" in _first(headers, b"content-type"):
                tag = etags.tag_of_bytes(body).encode()
                headers += [(b"etag", tag), *_REVALIDATED]
            if tag and etags.is_known(_first(self._asked, b"if-none-match").decode("latin-1"), tag.decode()):
                start["status"] = 304
                headers = [header for header in headers if header[0] not in _OF_BODIES]
        start["headers"] = [*headers, *self._cors.headers(self._asked, allowed)]
        self._is_empty = self._method in {"HEAD", "OPTIONS"} or start["status"] == 304


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


def _is_whole(start: HTTPResponseStartEvent) -> bool:
    """Whether an answer is no stream: its length is known, or it has no body."""
    return start["status"] == 204 or bool(_first(start["headers"], b"content-length"))


def _first(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> bytes:
    return next((value for name, value in headers if name == wanted), b"")


def _allowed(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The methods of a path: the framework's list, with HEAD where it has GET."""
    found = {method for name, value in headers if name == b"allow" for method in value.split(b", ")}
    return b", ".join(sorted(found | {b"HEAD"} if b"GET" in found else found))


def _policy(page: bytes) -> bytes:
    digests = [base64.b64encode(hashlib.sha256(script).digest()).decode() for script in _INLINE_SCRIPT.findall(page)]
    return _POLICY.format(scripts="".join(f" 'sha256-{digest}'" for digest in digests)).encode()
