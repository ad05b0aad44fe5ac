"""The checks of a request's path, query string, `Accept` and `Content-Type`, before its body is read.

The fast path takes requests that `is_usual` allows; every other request is checked here, behind the guards.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from litestar import Litestar, Request
from litestar.exceptions import HTTPException
from litestar.openapi.spec import OpenAPIType, Parameter, Schema

from shared.errors import InvalidInput

JSON_TYPE, ANY_TYPE = b"application/json", b"*/*"
JSON, EVENT_STREAM, CSV = "application/json", "text/event-stream", "text/csv"
# The further media type of an operation, in its handler's `opt`.
ALSO = "also"
# `curl -d` sends the form type unless it is given another one.
_BODY_TYPES = frozenset({b"", JSON_TYPE, b"application/x-www-form-urlencoded"})
MOST_PARAMETERS = 100
# Load balancers and scrapers choose headers and parameters of their own, and are answered all the same.
PROBES = frozenset({"live", "ready", "metrics"})
# Stands in a path for an encoded `/` within an id: the framework splits paths at slashes. No id contains it.
SLASH = "\0"


class Known(NamedTuple):
    """A query parameter: whether it may be repeated, and whether it is any text."""

    is_list: bool
    is_text: bool


# Operation → its query parameters by name.
QueryParameters = Mapping[str, Mapping[str, Known]]


def is_usual(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a request sends and accepts JSON in the usual way, so that `check` would pass it."""
    for name, value in headers:
        if name == b"content-type":
            if value != JSON_TYPE and not _is_json(value):
                return False
        elif name == b"content-encoding":
            if not _is_plain(value):
                return False
        elif name == b"accept" and value != ANY_TYPE and not _accepts_json(value):
            return False
    return True


async def check(request: Request[Any, Any, Any]) -> None:
    """Litestar's `before_request` of every handler.

    Raises:
        InvalidInput: a query parameter is unknown, repeated or not UTF-8.
        HTTPException: 406 where the answer cannot be of the caller's types, 415 where the body is not JSON, or has a
            content coding.
    """
    if SLASH in request.scope["path"]:
        params = request.scope["path_params"]
        request.scope["path_params"] = {name: _with_slashes(value) for name, value in params.items()}
    handler: Any = request.route_handler
    known = request.app.state.query_parameters.get(handler.operation_id)
    # A handler that makes its own response names no type: it is JSON, too.
    kind = handler.media_type or JSON
    if known is None or handler.operation_id in PROBES:
        return
    _check_query(request.scope["query_string"], known)
    kinds = [kind, handler.opt[ALSO]] if ALSO in handler.opt else [kind]
    accepted = request.headers.getall("accept", [])
    if not any(accepts(one, accepted) for one in kinds):
        raise HTTPException(status_code=406, detail=f"the answer is {' or '.join(kinds)}, which `Accept` excludes")
    if "data" in handler.parsed_fn_signature.parameters and _has_body(request):
        _check_content(request)


def query_parameters(app: Litestar) -> QueryParameters:
    """The query parameters of each documented operation."""
    return {
        operation.operation_id: {
            parameter.name: _known(parameter)
            for parameter in operation.parameters or []
            if isinstance(parameter, Parameter) and parameter.param_in == "query"
        }
        for item in (app.openapi_schema.paths or {}).values()
        for operation in (item.get, item.put, item.post, item.delete, item.patch)
        if operation and operation.operation_id
    }


def accepts(kind: str, values: Iterable[str]) -> bool:
    """Whether the values of `Accept` allow a media type; the most specific range decides (RFC 9110, 12.5.1)."""
    qualities = _qualities(values)
    ranges = kind, f"{kind.partition('/')[0]}/*", "*/*"
    return next((qualities[name] > 0 for name in ranges if name in qualities), not qualities)


def prefers(kind: str, values: Iterable[str]) -> bool:
    """Whether the values of `Accept` name a media type that is better for the caller than JSON."""
    qualities = _qualities(values)
    return qualities.get(kind, 0.0) > max(qualities.get(name, 0.0) for name in (JSON, "application/*", "*/*"))


def accepts_gzip(values: Iterable[str]) -> bool:
    """Whether the values of `Accept-Encoding` ask for gzip."""
    qualities = _qualities(values)
    return next((qualities[name] > 0 for name in ("gzip", "x-gzip", "*") if name in qualities), False)


def _qualities(values: Iterable[str]) -> dict[str, float]:
    """The quality of each name in a header such as `Accept`."""
    qualities: dict[str, float] = {}
    for each in ",".join(values).split(","):
        name, *parameters = (part.strip().lower() for part in each.split(";"))
        if name:
            qualities[name] = max(qualities.get(name, 0.0), _quality(parameters))
    return qualities


@lru_cache(256)
def _accepts_json(value: bytes) -> bool:
    return accepts(JSON, [value.decode("latin-1")])


@lru_cache(256)
def _is_json(value: bytes) -> bool:
    """Whether a content type is JSON, the form type, or empty; its parameters do not matter."""
    kind = value.partition(b";")[0].strip().lower()
    return kind in _BODY_TYPES or kind.endswith(b"+json")


def _is_plain(encodings: bytes) -> bool:
    """Whether the values of `Content-Encoding` name no coding that changes a body."""
    return all(name.strip().lower() in {b"", b"identity"} for name in encodings.split(b","))


def _with_slashes(value: Any) -> Any:
    return value.replace(SLASH, "/") if isinstance(value, str) else value


def _quality(parameters: Iterable[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def _known(parameter: Parameter) -> Known:
    schema = parameter.schema
    kinds = [schema, *(schema.one_of or ())] if isinstance(schema, Schema) else []
    plain = [kind for kind in kinds if isinstance(kind, Schema)]
    lists = [kind for kind in plain if kind.type == OpenAPIType.ARRAY]
    values = [kind.items for kind in lists if isinstance(kind.items, Schema)] or plain
    is_text = any(v.type == OpenAPIType.STRING and v.enum is None and v.format is None for v in values)
    return Known(bool(lists), is_text)


def _check_query(text: bytes, known: Mapping[str, Known]) -> None:
    if not text:
        return
    try:
        pairs = parse_qsl(
            text.decode("latin-1"), keep_blank_values=True, errors="surrogateescape", max_num_fields=MOST_PARAMETERS
        )
    except ValueError:
        raise InvalidInput(f"the query string has more than {MOST_PARAMETERS} parameters") from None
    seen: set[str] = set()
    for name, value in pairs:
        if not (name + value).isascii() and any("\ud800" <= character <= "\udfff" for character in name + value):
            raise InvalidInput("a query parameter that is not UTF-8", f"$.{name if name in known else ''}".rstrip("."))
        if name not in known:
            names = ", ".join(known) or "none"
            raise InvalidInput(f"an unknown query parameter; known: {names}", f"$.{name}")
        if value.lower() == "null" and not known[name].is_text:
            # The framework would read it as a parameter that is left out.
            raise InvalidInput("`null` is no value", f"$.{name}")
        if name in seen and not known[name].is_list:
            raise InvalidInput("a query parameter that is repeated", f"$.{name}")
        seen.add(name)


def _has_body(request: Request[Any, Any, Any]) -> bool:
    return "transfer-encoding" in request.headers or request.headers.get("content-length", "0") != "0"


def _check_content(request: Request[Any, Any, Any]) -> None:
    encodings = ",".join(request.headers.getall("content-encoding", []))
    if not _is_plain(encodings.encode("latin-1")):
        raise HTTPException(
            status_code=415,
            detail=f"the body has the content coding {encodings!r}; no coding is read",
            headers={"accept-encoding": "identity"},
        )
    kind = request.headers.get("content-type", "")
    if not _is_json(kind.encode("latin-1")):
        raise HTTPException(
            status_code=415,
            detail=f"the body is {kind!r}, not application/json",
            headers={"accept": "application/json"},
        )
