"""Who calls, and what the caller's key allows."""

from collections.abc import Callable, Coroutine
from typing import Any, cast

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import HTTPScope

from api.services import Services
from shared.access import scopes
from shared.access.keys import LiveKey
from shared.access.scopes import Scope
from shared.errors import Forbidden, RateLimited, Unauthorized

Connection = ASGIConnection[Any, Any, Any, Any]
Guard = Callable[[Connection, BaseRouteHandler], Coroutine[Any, Any, None]]

# For the OpenAPI document: a key is needed, or changes the answer.
KEY_OPTIONAL: list[dict[str, list[str]]] = [{}, {"key": []}]


def needs(scope: Scope) -> Guard:
    """A Litestar guard: the request needs a live key that has this scope. The handler finds it as `request.user`.

    Raises (the guard):
        Unauthorized: the header `Authorization: Bearer KEY` is missing, or the key is not live.
        Forbidden: the key lacks the scope.
        DatabaseUnavailable: this process does not hold the key, and PostgreSQL is away.
    """

    async def guard(connection: Connection, _: BaseRouteHandler) -> None:
        require(await _caller(connection), scope)

    return guard


async def prices_are_open(connection: Connection, _: BaseRouteHandler) -> None:
    """A Litestar guard of price queries: they need a key only where `PRICING_REQUIRE_READ_KEY` is set."""
    if _services(connection).settings.require_read_key:
        require(await _caller(connection), "prices:read")


async def may_ask(connection: Connection, is_for_keys: bool) -> None:
    """Raise Unauthorized or Forbidden where a price query names what only callers with `prices:read` may name."""
    if is_for_keys and not _services(connection).settings.trust_callers:
        require(await _caller(connection), "prices:read")


async def metrics_are_open(connection: Connection, _: BaseRouteHandler) -> None:
    """A Litestar guard of the metrics: they need a key, of any scope, where `PRICING_REQUIRE_METRICS_KEY` is set."""
    if _services(connection).settings.require_metrics_key:
        await _caller(connection)


async def sees_costs(connection: Connection) -> bool:
    """Whether the caller may see cost, floor, margin and competitors. Without a key: no.

    Raises:
        Unauthorized: there is a key, and it is not live.
    """
    if "authorization" not in connection.headers and connection.scope.get("user") is None:
        return False
    return scopes.allow((await _caller(connection)).scopes, "catalogue:read")


def require(caller: LiveKey, scope: Scope) -> None:
    """Raise Forbidden where the caller's key lacks a scope; the error names the scope."""
    if not scopes.allow(caller.scopes, scope):
        raise Forbidden(f"this needs the scope {scope}; the key {caller.name!r} has {', '.join(sorted(caller.scopes))}")


def key_in(authorization: str) -> str:
    """The key of a header `Authorization: Bearer KEY`; empty where there is none."""
    scheme, _, key = authorization.partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def key_of(services: Services, scope: HTTPScope) -> LiveKey | None:
    """The live key of a request, where this process holds it."""
    found = [value for name, value in scope["headers"] if name == b"authorization"]
    return services.keys.held(key_in(found[0].decode("latin-1"))) if len(found) == 1 else None


def limit_prices(connection: Connection, queries: int) -> None:
    """Take price queries from the bucket of the caller's key, where it has a limit.

    Raises:
        RateLimited: the bucket is empty.
    """
    services = _services(connection)
    key = connection.scope.get("user") or key_of(services, cast(HTTPScope, connection.scope))
    allowance = services.price_limits.take(key, queries) if key is not None else None
    if allowance is not None and allowance.is_exceeded:
        raise RateLimited("too many price queries; the key has a limit", allowance.headers())


async def _caller(connection: Connection) -> LiveKey:
    signed_in: LiveKey | None = connection.scope.get("user")
    if signed_in is not None:  # by a guard before: of the console, whose callers have a session
        return signed_in
    key = key_in(connection.headers.get("authorization", ""))
    if not key:
        raise Unauthorized("this needs the header `Authorization: Bearer KEY`; `just key` prints one")
    caller = await _services(connection).keys.find(key)
    connection.scope["user"] = caller
    return caller


def _services(connection: Connection) -> Services:
    services: Services = connection.app.state.services
    return services
