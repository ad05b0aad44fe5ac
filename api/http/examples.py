"""Examples of answers in the OpenAPI document: one for each status, made of the fields' own examples."""

from dataclasses import dataclass
from typing import Any

import msgspec
from litestar.exceptions import HTTPException
from litestar.openapi.spec.base import BaseSchemaObject

from api.http.problems import problem_of
from shared.errors import (
    AlreadyEnded,
    ChangesGone,
    DatabaseUnavailable,
    Forbidden,
    InvalidInput,
    NotFound,
    NotJson,
    RateLimited,
    SlowBody,
    Unauthorized,
    UrlTooLong,
)
from shared.wire.fields import AT, TRACE_ID

_REF = "#/components/schemas/"
_PATH = "/api/v1/tasks/5d6fd5a0-63f7-41a2-b1c8-2d3f0b7a9c11"
_ERRORS: dict[int, Exception] = {
    400: NotJson("not JSON: Input data was truncated"),
    401: Unauthorized("the key is not known, has expired or was revoked"),
    403: Forbidden("this needs the scope operate; the key 'crawler' has events:write"),
    404: NotFound("no task 5d6fd5a0-63f7-41a2-b1c8-2d3f0b7a9c11"),
    406: HTTPException(status_code=406, detail="answers are JSON"),
    408: SlowBody("the body did not come within 10 s"),
    409: AlreadyEnded("the task has ended: succeeded"),
    410: ChangesGone("the log begins behind 4711", 4711),
    412: HTTPException(status_code=412, detail="the resource has changed"),
    413: HTTPException(status_code=413, detail="the body has more than 1,000,000 bytes"),
    414: UrlTooLong("path and query have more than 8,192 bytes"),
    415: HTTPException(status_code=415, detail="the body has the content coding 'gzip'; no coding is read"),
    422: InvalidInput("Expected `int` >= 1", "$.quantity"),
    429: RateLimited("too many writes; the limit is for each key or address"),
    503: DatabaseUnavailable("away"),
}
_OF_FORMATS = {"date-time": AT, "uuid": "5d6fd5a0-63f7-41a2-b1c8-2d3f0b7a9c11"}
_OF_TYPES: dict[str, Any] = {"boolean": False, "null": None, "integer": 0, "number": 0, "string": "text"}


@dataclass
class Whole(BaseSchemaObject):
    """A value as it is: Litestar leaves nulls out of others."""

    value: Any

    def to_schema(self) -> Any:
        """The value."""
        return self.value


def problem(status: int) -> Any:
    """The problem document of a status."""
    found = msgspec.to_builtins(problem_of(_ERRORS[status], _PATH))
    return found | {"trace_id": TRACE_ID}


def of(schema: dict[str, Any], components: dict[str, Any]) -> Any:
    """A value that a schema allows.

    Args:
        schema: The schema.
        components: The document's schemas by name.
    """
    if (reference := schema.get("$ref")) is not None:
        return of(components[reference.removeprefix(_REF)], components)
    for name in ("examples", "enum"):
        if schema.get(name):
            return schema[name][0]
    for name in ("const", "default"):
        if name in schema:
            return schema[name]
    if choices := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
        return of(choices[0], components)
    kinds = schema.get("type")
    kind = kinds[0] if isinstance(kinds, list) else kinds
    if kind == "array":
        return [of(schema["items"], components)] if "items" in schema else []
    if kind == "object":
        return _object(schema, components)
    return _OF_FORMATS.get(schema.get("format", ""), _OF_TYPES[kind or "null"])


def _object(schema: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = schema.get("properties", {})
    # Where each field may be left out, as of an item that is a price or an error, the first one stands for all.
    names = schema.get("required") or list(fields)[:1]
    return {name: of(fields[name], components) for name in names}
