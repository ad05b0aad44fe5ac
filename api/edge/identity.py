"""Access to the writes: a request needs a valid API key."""

import asyncio

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from api.services import Services
from shared.access import keys
from shared.errors import Unauthorized


async def requires_key(connection: ASGIConnection, _: BaseRouteHandler) -> None:  # type: ignore[type-arg] # any
    """Litestar guard of the routes that write.

    Raises:
        Unauthorized: the header `Authorization: Bearer KEY` is missing, or the key is not valid.
    """
    scheme, _space, key = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise Unauthorized("writes need the header `Authorization: Bearer KEY`; `just key` prints one")
    services: Services = connection.app.state.services
    if not await asyncio.to_thread(_is_valid, services, key.strip()):
        raise Unauthorized("the key is not known, or was revoked")


def _is_valid(services: Services, key: str) -> bool:
    with services.transaction() as conn:
        return keys.is_valid(conn, key)
