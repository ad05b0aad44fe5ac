"""The schemas of JSON whose shape the engine does not decide."""

from typing import Any

_OBJECT = {"$ref": "#/components/schemas/JsonObject"}
_SINGLE: list[dict[str, Any]] = [
    *({"type": kind} for kind in ("string", "number", "boolean", "null")),
    _OBJECT,
]


def _arrays(depth: int) -> dict[str, Any]:
    """Arrays of values. Generators of clients read no schema that refers to itself in a union."""
    inner = [_arrays(depth - 1)] if depth > 1 else []
    return {"type": "array", "items": {"anyOf": [*_SINGLE, *inner]}}


VALUE = {"anyOf": [*_SINGLE, _arrays(2)]}
SCHEMAS: dict[str, Any] = {
    "JsonObject": {
        "title": "JsonObject",
        "description": "An object of any JSON values.",
        "type": "object",
        "additionalProperties": VALUE,
    },
}
