"""API keys: made, listed and revoked by administrators."""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, Router, delete, get, post
from litestar.openapi.spec import Example
from litestar.params import Body, Parameter
from msgspec import Meta

from api.edge.identity import needs
from api.http import cursors
from api.http.bodies import StrictBody
from api.http.problems import documented
from api.routes.lists import Cursor, Limit, Next
from api.services import Services
from shared.access import keys
from shared.access.keys import KeyName, KeyView, LiveKey
from shared.access.scopes import Scope
from shared.errors import InvalidInput
from shared.wire import instants

KeyId = Annotated[int, Parameter(ge=1, le=keys.LARGEST_ID, description="The key's id")]


class NewKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key to be made."""

    name: KeyName
    scopes: Annotated[
        list[Scope], Meta(min_length=1, max_length=20, description="What it may do", examples=[["events:write"]])
    ]
    expires_at: Annotated[
        Annotated[datetime, Meta(tz=True)] | None,
        Meta(description="The end of its validity. Default: none", examples=["2027-01-31T12:00:00Z"]),
    ] = None
    prices_per_s: Annotated[
        Annotated[int, Meta(ge=1, le=keys.MOST_PRICES_PER_S)] | None,
        Meta(description="The most price queries a second in each API instance. Default: no limit", examples=[100]),
    ] = None

    def __post_init__(self) -> None:
        instants.check("expires_at", self.expires_at)


class MadeKey(msgspec.Struct, frozen=True):
    """A new key. This is the only answer that has the key itself."""

    key: Annotated[str, Meta(description="The key itself, shown this once", examples=["pricing_3kTMd…"])]
    made: Annotated[KeyView, Meta(description="The key as the list shows it")]


class KeyList(msgspec.Struct, frozen=True):
    """A page of keys."""

    items: Annotated[list[KeyView], Meta(description="Newest first, also revoked and expired ones")]
    next: Next


@post(
    "/keys",
    status_code=201,
    guards=[needs("admin")],
    security=[{"key": ["admin"]}],
    dto=StrictBody[NewKey],
    return_dto=None,
    sync_to_thread=True,
    operation_id="createKey",
    responses=documented(401, 403, 422, 503),
    summary="Make an API key",
    description="The answer has the key itself; the engine stores its hash alone.",
)
def create_key(
    request: Request[LiveKey, Any, Any],
    services: Services,
    data: Annotated[NewKey, Body(examples=[Example(value={"name": "crawler", "scopes": ["events:write"]})])],
) -> MadeKey:
    """Make a key."""
    return make(services, request.user, data)


def make(services: Services, by: LiveKey, data: NewKey) -> MadeKey:
    """Make a key.

    Raises:
        InvalidInput: its end is past.
    """
    if data.expires_at is not None and data.expires_at <= datetime.now(UTC):
        raise InvalidInput("must be in the future", "$.expires_at")
    with services.transaction() as conn:
        key_id, key = keys.create(conn, data.name, data.scopes, f"key {by.id}", data.expires_at, data.prices_per_s)
        return MadeKey(key, keys.view(conn, key_id))


@get(
    "/keys",
    guards=[needs("admin")],
    security=[{"key": ["admin"]}],
    sync_to_thread=True,
    operation_id="listKeys",
    responses=documented(401, 403, 422, 503),
    summary="API keys with their scopes and last use",
    description="Never the keys themselves. The last use is some seconds late.",
)
def list_keys(
    services: Services,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> KeyList:
    """List keys."""
    before: keys.Position | None = cursors.decode(cursor, keys.Position)
    with services.transaction() as conn:
        items, last = cursors.split(keys.listed(conn, limit + 1, before), limit)
    return KeyList(items, cursors.encode(last.id) if last else None)


@delete(
    "/keys/{key_id:int}",
    status_code=200,
    guards=[needs("admin")],
    security=[{"key": ["admin"]}],
    sync_to_thread=True,
    operation_id="revokeKey",
    responses=documented(401, 403, 404, 422, 503),
    summary="Revoke an API key",
    description="Every process refuses it within 2 seconds. A key that was revoked before stays so.",
)
def revoke_key(services: Services, key_id: KeyId) -> KeyView:
    """Revoke a key."""
    return revoke(services, key_id)


def revoke(services: Services, key_id: int) -> KeyView:
    """Revoke a key."""
    with services.transaction() as conn:
        keys.revoke(conn, key_id)
        return keys.view(conn, key_id)


router = Router("/api/v1", route_handlers=[create_key, list_keys, revoke_key], tags=["Keys"])
