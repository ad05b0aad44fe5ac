"""A person at the console without scripts: pages are asked for and forms are sent as a browser does."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from typing import Any

import httpx

from shared.access import keys
from shared.access.scopes import Scope
from shared.postgres import pools
from tests.support.engine import Engine

TOKEN = re.compile(r'name="csrf" value="([^"]*)"')


class Visitor:
    """One browser. `http` keeps its cookies."""

    def __init__(self, engine: Engine) -> None:
        self.http = httpx.Client(base_url=str(engine.http.base_url), timeout=30)

    def page(self, path: str, *, status: int = 200, **query: Any) -> str:
        """The text of a page that is answered with this status."""
        answer = self.http.get(path, params=query or None)
        assert answer.status_code == status, answer.text
        return unescape(answer.text)

    def send(self, path: str, on: str = "/console", **fields: object) -> httpx.Response:
        """Send a form with the token of the page that it stands on."""
        found = TOKEN.search(self.http.get(on, follow_redirects=True).text)
        assert found, on
        return self.http.post(path, data={"csrf": found[1]} | fields)

    def sign_in(self, key: str, **fields: object) -> httpx.Response:
        """Sign in with a key."""
        return self.send("/console/sign-in", "/console/sign-in", key=key, **fields)


def key_with(engine: Engine, *scopes: Scope) -> tuple[int, str]:
    """A new key; its id and the key."""
    with pools.connect(engine.settings, "tests") as conn:
        return keys.create(conn, "merchant", scopes, "just")


@contextmanager
def visitor(engine: Engine, *scopes: Scope) -> Iterator[Visitor]:
    """Somebody who is signed in with a key of these scopes; without scopes, somebody who is not."""
    one = Visitor(engine)
    with one.http:
        if scopes:
            assert one.sign_in(key_with(engine, *scopes)[1]).status_code == 303
        yield one
