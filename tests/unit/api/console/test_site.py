"""Every page of the console is behind a session and a scope, but the sign-in."""

import warnings
from collections.abc import Iterator
from typing import Any

from litestar import Litestar
from litestar.exceptions import LitestarDeprecationWarning
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from api.console import access, navigation, site
from api.http.answers import CONSOLE_PATH, SIGN_IN_PATH
from shared.access.keys import LiveKey

# They change the session and its cookies only, with any key.
FOR_ANY_KEY = {f"{CONSOLE_PATH}/sign-out", f"{CONSOLE_PATH}/theme"}


def routes() -> Iterator[tuple[str, HTTPRouteHandler]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LitestarDeprecationWarning)  # as in tests.unit.api.framework
        app = Litestar(route_handlers=site.handlers())
    for route in app.routes:
        if isinstance(route, HTTPRoute) and route.path.startswith(CONSOLE_PATH):
            yield from (
                (route.path, handler) for handler in route.route_handlers if handler.http_methods != {"OPTIONS"}
            )


def guards(handler: Any) -> list[object]:
    return list(handler.resolve_guards())


def test_every_page_but_the_sign_in_needs_a_session() -> None:
    found = list(routes())
    assert len(found) > 10
    wrong = [path for path, handler in found if access.signed_in not in guards(handler)]
    assert set(wrong) == {SIGN_IN_PATH, f"{SIGN_IN_PATH}/{{token:str}}"}


def test_every_page_needs_a_scope() -> None:
    wrong = {path for path, handler in routes() if len(guards(handler)) < 2 and access.signed_in in guards(handler)}
    assert wrong == FOR_ANY_KEY


def test_no_page_is_in_the_document_of_the_api() -> None:
    assert not any(handler.resolve_include_in_schema() for _, handler in routes())


def test_every_page_of_the_navigation_is_a_route_with_a_key_of_its_own() -> None:
    paths = {path for path, _ in routes()}
    assert {entry.path for entry in navigation.PAGES} <= paths
    assert len({entry.key for entry in navigation.PAGES}) == len(navigation.PAGES)


def test_the_navigation_has_what_a_key_may_see() -> None:
    def key(*scopes: str) -> LiveKey:
        return LiveKey(id=1, name="k", scopes=frozenset(scopes), digest="")

    assert navigation.of(key("events:write")) == []
    assert navigation.of(key("admin")) == list(navigation.PAGES)
    assert navigation.current("/console/products/P-1") == "/console/products"
    assert navigation.current("/console") == "/console"
    assert navigation.current("/console/elsewhere") == ""
