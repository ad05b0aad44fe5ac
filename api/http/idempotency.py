"""`Idempotency-Key`: a write that a caller sends again is answered as the first time, and not done again."""

import asyncio
import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import HTTPScope

from api.http.answers import READ_PATHS
from api.services import Services
from shared.access import idempotency
from shared.access.idempotency import Answer, Known, Write
from shared.errors import InvalidInput, PricingError

log = structlog.get_logger(__name__)

HEADER, REPLAYED = "idempotency-key", "idempotency-replayed"
LONGEST_KEY = 255
RETRY_AFTER_S = 1
_CLAIMED = "pricing_idempotency_claim"
# The answers that have a new API key or secret are not to be found in a table.
_WITHOUT = (*READ_PATHS, "/api/v1/keys")
_WITHOUT_BELOW = "/api/v1/webhooks"
# A retry of these may succeed: the caller's rights or the servers have changed.
_PASSING = {401, 403, 408, 429}
# What the layers around the handlers add to every answer is added again.
_KEPT_HEADERS = {"content-type", "etag", "cache-control"}


class Claimed(msgspec.Struct, frozen=True):
    """A write that this request executes."""

    services: Services
    write: Write
    number: int


def is_write(method: str, path: str) -> bool:
    """Whether a request can have an idempotency key."""
    return method in {"POST", "PUT", "PATCH", "DELETE"} and path not in _WITHOUT and not path.startswith(_WITHOUT_BELOW)


async def begin(request: Request[Any, Any, Any]) -> Response[bytes] | None:
    """Claim a write with a key, behind the guards; the answer where it was done before.

    Raises:
        InvalidInput: the key is no key, or was used for another request.
        HTTPException: 409: the first request with this key still runs.
        DatabaseUnavailable: PostgreSQL is away.
    """
    keys = request.headers.getall(HEADER, [])
    if not keys or not is_write(request.method, request.scope["path"]):
        return None
    if len(keys) > 1 or not 1 <= len(keys[0]) <= LONGEST_KEY or not (keys[0].isascii() and keys[0].isprintable()):
        raise InvalidInput(f"the header Idempotency-Key must be one key of 1 to {LONGEST_KEY} printable characters")
    services: Services = request.app.state.services
    write = await _write(request, keys[0])
    claimed = await asyncio.to_thread(_claim, services, write)
    if isinstance(claimed, int):
        request.scope["state"][_CLAIMED] = Claimed(services, write, claimed)
        return None
    if claimed.fingerprint != write.fingerprint:
        raise InvalidInput("this Idempotency-Key was used for another request on this path; use a new one")
    if claimed.answer is None:
        raise HTTPException(
            status_code=409,
            detail="the first request with this Idempotency-Key still runs",
            headers={"retry-after": str(RETRY_AFTER_S)},
        )
    headers = dict(claimed.answer.headers)
    media_type = headers.pop("content-type", None)
    return Response(
        claimed.answer.body,
        status_code=claimed.answer.status,
        media_type=media_type,
        headers=headers | {REPLAYED: "true"},
    )


async def end(scope: HTTPScope, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> None:
    """Keep the answer to a claimed write, before it is sent. An error that may pass is not kept."""
    claimed: Claimed | None = scope.get("state", {}).pop(_CLAIMED, None)
    if claimed is None:
        return
    named = [(name.decode(), value.decode("latin-1")) for name, value in headers]
    answer = Answer(status, [each for each in named if each[0] in _KEPT_HEADERS], body)
    try:
        await asyncio.to_thread(_end, claimed, answer)
    except PricingError as error:
        log.warning("answer not kept, a request with the same key executes again", error=str(error))


async def _write(request: Request[Any, Any, Any], key: str) -> Write:
    authorization = request.headers.get("authorization", "")
    address = request.client.host if request.client else ""
    parts = [request.method, request.scope["query_string"].decode("latin-1")]
    parts += [request.headers.get(name, "") for name in ("content-type", "if-match", "if-none-match")]
    digest = hashlib.sha256("\0".join(parts).encode() + b"\0" + await request.body())
    caller = hashlib.sha256(authorization.encode()).hexdigest() if authorization else address
    return Write(caller, request.scope["path"], key, digest.digest())


def _claim(services: Services, write: Write) -> int | Known:
    with services.transaction() as conn:
        return idempotency.claim(conn, write)


def _end(claimed: Claimed, answer: Answer) -> None:
    with claimed.services.transaction() as conn:
        if answer.status < 500 and answer.status not in _PASSING:
            idempotency.keep(conn, claimed.write, claimed.number, answer)
        else:
            idempotency.release(conn, claimed.write, claimed.number)
