"""The framework behind its rules of HTTP, without servers: for routes that need none, and for refusals."""

import asyncio
import warnings
from types import SimpleNamespace
from typing import Any, NamedTuple, cast
from urllib.parse import unquote

from litestar import Litestar
from litestar.exceptions import LitestarDeprecationWarning

from api.app import create_litestar
from api.edge.cors import Cors
from api.edge.limits import Limits
from api.edge.protocol import Protocol
from shared.settings import Settings


class Answer(NamedTuple):
    """An answer with its headers by name; a name that occurs twice has both values."""

    status: int
    headers: dict[str, str]
    body: bytes


def litestar() -> Litestar:
    """The application, without servers."""
    with warnings.catch_warnings():
        # Litestar 3 wants dependencies and parameters marked; Litestar 2 reads them as they are.
        warnings.simplefilter("ignore", LitestarDeprecationWarning)
        return create_litestar(Settings(), Limits(10, 8000))


class Framework:
    """Answers requests as the API does, but for traces, metrics and the fast path."""

    def __init__(self, origins: str = "") -> None:
        app = litestar()
        app.state.services = SimpleNamespace(settings=Settings())
        self._app = Protocol(app, Cors(origins))

    def ask(self, method: str, url: str, *messages: Any, **headers: str) -> Answer:
        """The answer to a request; without messages its body is empty."""
        path, _, query = url.partition("?")
        waiting = list(messages) or [{"type": "http.request", "body": b"", "more_body": False}]
        sent: list[Any] = []

        async def receive() -> Any:
            return waiting.pop(0) if waiting else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "http_version": "1.1",
            "scheme": "http",
            "method": method,
            "path": unquote(path, errors="replace"),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
            "server": ("127.0.0.1", 8000),
            "client": ("127.0.0.1", 1),
            "state": {},
        }
        asyncio.run(self._app(cast(Any, scope), receive, send))
        start, body = sent
        assert (scope["method"], scope["path"]) == (method, unquote(path, errors="replace"))
        found: dict[str, str] = {}
        for name, value in start["headers"]:
            known = found.get(name.decode())
            found[name.decode()] = f"{known}, {value.decode()}" if known else value.decode()
        return Answer(start["status"], found, body["body"])


def body(content: bytes) -> dict[str, object]:
    """The message that has the whole body."""
    return {"type": "http.request", "body": content, "more_body": False}
