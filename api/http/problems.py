"""Turns errors into RFC 9457 `application/problem+json`; the only module that does."""

import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Any, NamedTuple

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, NotFoundException, ValidationException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.openapi.datastructures import ResponseSpec
from msgspec import Meta
from msgspec.structs import replace
from opentelemetry.trace import get_current_span

from shared.errors import (
    AlreadyEnded,
    ChangesGone,
    DatabaseUnavailable,
    Forbidden,
    InvalidInput,
    NoHistory,
    NotFound,
    NotJson,
    OfferExpired,
    OfferForeign,
    OfferForged,
    OfferRevoked,
    OtherData,
    PlanFirst,
    RateLimited,
    RedisUnavailable,
    SlowBody,
    StalePlan,
    StatementTimeout,
    StillInUse,
    Superseded,
    Unauthorized,
    Unavailable,
    UnusableProduct,
    UrlTooLong,
    translate,
)
from shared.pricing.answer import NoPrice, NotQuoted, UnknownMarket, WrongQuantity
from shared.telemetry.tracing import current_trace_id
from shared.wire.fields import TraceId
from shared.wording import worded

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1
LOG_INTERVAL_S = 1.0

# The first class that matches decides: subclasses come before their parents.
STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (NotJson, 400),
    (SlowBody, 408),
    (RateLimited, 429),
    (UrlTooLong, 414),
    (NoPrice, 422),
    (UnknownMarket, 422),
    (WrongQuantity, 422),
    (NoHistory, 422),
    (OfferExpired, 422),
    (OfferForeign, 422),
    (OfferForged, 422),
    (OfferRevoked, 422),
    (InvalidInput, 422),
    (NotFound, 404),
    (AlreadyEnded, 409),
    (ChangesGone, 410),
    (Superseded, 409),
    (StillInUse, 409),
    (StalePlan, 409),
    (PlanFirst, 409),
    (OtherData, 409),
    (Unauthorized, 401),
    (Forbidden, 403),
    (UnusableProduct, 503),
    (Unavailable, 503),
)

# The rest of such a request is not read.
UNREAD = {408, 413}

MEANINGS = {
    400: "The body is not JSON, or breaks off",
    401: "The key is missing, unknown, expired or revoked",
    403: "The key lacks a scope; `detail` names it",
    404: "Not found",
    406: "`Accept` excludes JSON",
    408: "The body did not come in time",
    409: "The task has ended, the event's id was used with other data, "
    "another part of the rulebook refers to this one, a later load of the price list is in "
    "force, a plan is not ready, is over or stands on what has changed, the write would move too many prices too far, "
    "or the first request with this "
    "`Idempotency-Key` still runs",
    410: "The log of changes cannot go on there; `begin` names a change behind which it can",
    412: "`If-Match` or `If-None-Match` is false: the resource has changed, or exists already",
    413: "The body is too large",
    414: "Path and query are too long",
    415: "The body has a content type other than JSON, or has a content coding",
    422: "The input has the wrong shape or content; `path` names the first wrong field",
    429: "The rate limit of the key or address is reached; try again after `Retry-After` seconds",
    503: "A server is away, or too many requests are under way; try again after `Retry-After` seconds. "
    "Or the product's stored data cannot be used",
}


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error, as in RFC 9457."""

    type: Annotated[str, Meta(description="Names the kind of problem", examples=["urn:pricing:invalid-input"])]
    title: Annotated[str, Meta(description="The status in words", examples=["Unprocessable Content"])]
    status: Annotated[int, Meta(description="The HTTP status", examples=[422])]
    detail: Annotated[
        str, Meta(description="The fault, in words for people", examples=["must be a whole number of at least 1"])
    ]
    instance: Annotated[str, Meta(description="The request's path", examples=["/api/v1/price"])]
    trace_id: TraceId
    path: Annotated[
        str | None, Meta(description="The first wrong field, for a wrong document", examples=["$.quantity"])
    ] = None
    begin: Annotated[
        int | None, Meta(description="A change behind which the log can go on, where it could not", examples=[4711])
    ] = None


class Rendered(NamedTuple):
    """A complete ASGI response; `source` is the source of a price."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes
    source: str = ""


def documented(*statuses: int) -> dict[int, ResponseSpec]:
    """The error responses of an operation, for the OpenAPI document."""
    return {
        status: ResponseSpec(Problem, media_type=MEDIA_TYPE, description=MEANINGS[status], generate_examples=False)
        for status in (400, *statuses)
    }


def problem_of(error: Exception, instance: str) -> Problem:
    """The problem document of an error; an unforeseen error is a 500 without details."""
    if isinstance(error, ValidationException):
        error = _wrong_parameter(error)
    if isinstance(error, NotFoundException):
        error.detail = "nothing is at this path, or an id in it has the wrong form; /docs lists the paths"
    if isinstance(error, HTTPException):
        return _problem(error.status_code, "http", error.detail or HTTPStatus(error.status_code).phrase, instance)
    known = error if isinstance(error, NotQuoted) else translate(error) or error
    for kind, status in STATUSES:
        if isinstance(known, kind):
            problem = _problem(status, _name(kind), _detail(known), instance, getattr(known, "path", None))
            return replace(problem, begin=known.begin) if isinstance(known, ChangesGone) else problem
    return _problem(500, "internal", "an unforeseen error; the log has it under the trace id", instance)


def render(error: Exception, instance: str, headers: Mapping[str, str] | None = None) -> Rendered:
    """The complete response to an error; 500s and 503s are logged.

    Args:
        error: The error that was raised.
        instance: The request's path.
        headers: Headers of the error itself.
    """
    problem = problem_of(error, instance)
    named = {"content-type": MEDIA_TYPE, **(headers or {})}
    if problem.status >= 500:
        get_current_span().record_exception(error)
    if problem.status == 500:
        log.error("unforeseen error", path=instance, exc_info=error)
    if problem.status == 503:
        _log_unavailable(instance, error)
        named["retry-after"] = str(RETRY_AFTER_S)
    if problem.status in UNREAD:
        # The server closes the connection; the header announces that.
        named["connection"] = "close"
    if problem.status == 401:
        named["www-authenticate"] = "Bearer"
    encoded = tuple((name.lower().encode(), value.encode("latin-1")) for name, value in named.items())
    return Rendered(problem.status, encoded, msgspec.json.encode(problem))


def to_response(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Litestar's exception handler for every error."""
    if isinstance(error, ValidationException):
        _name_as_sent(error, request)
    elif isinstance(error, RequestEntityTooLarge):
        error.detail = f"the body has more than {request.route_handler.resolve_request_max_body_size():,} bytes"
    rendered = render(error, request.url.path, getattr(error, "headers", None))
    headers = {name.decode(): value.decode("latin-1") for name, value in rendered.headers}
    return Response(rendered.body, status_code=rendered.status, media_type=MEDIA_TYPE, headers=headers)


def _detail(known: Exception) -> str:
    """The text for the caller. A driver's text contains hosts, users and versions, and is only logged."""
    match known:
        case InvalidInput():
            return known.reason
        case DatabaseUnavailable() | StatementTimeout():
            return "the database does not respond just now"
        case RedisUnavailable():
            return "the cache does not respond just now"
        case _:
            return str(known)


def _log_unavailable(path: str, error: Exception) -> None:
    """Log at most once a second: in an outage every request may end this way."""
    now = time.monotonic()
    if now - _logged_at["unavailable"] >= LOG_INTERVAL_S:
        _logged_at["unavailable"] = now
        log.warning("unavailable", path=path, error=str(translate(error) or error))


_logged_at = {"unavailable": float("-inf")}


def _name_as_sent(error: ValidationException, request: Request[Any, Any, Any]) -> None:
    """Name a wrong parameter as callers do, where the handler's own name is another one."""
    handler: Any = request.route_handler
    for each in error.extra if isinstance(error.extra, list) else []:
        parameter = handler.parsed_fn_signature.parameters.get(each.get("key"))
        if parameter is not None and (name := getattr(parameter.kwarg_definition, "name", None)):
            each["key"] = name


def _wrong_parameter(error: ValidationException) -> InvalidInput:
    """Litestar's error about a query or path parameter, as the engine's error about a field."""
    first: Any = error.extra[0] if isinstance(error.extra, list) and error.extra else {}
    if first.get("key") == "data":
        return NotJson("the request has no body")
    return InvalidInput(worded(first.get("message", error.detail)), f"$.{first.get('key', '')}".rstrip("."))


def _problem(status: int, name: str, detail: str, instance: str, path: str | None = None) -> Problem:
    return Problem(
        type=f"urn:pricing:{name}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=instance,
        trace_id=current_trace_id(),
        path=path,
    )


def _name(kind: type[Exception]) -> str:
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in kind.__name__).strip("-")
