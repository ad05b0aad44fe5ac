"""The schemas of market events: one for each type, with the data of that type."""

from copy import deepcopy
from typing import Any

from api.http import examples
from shared.market_events.events import EVENT_TYPES

REJECTED = "rejected"
_REF = "#/components/schemas/"
_CLOUD_EVENT = {
    "specversion": {
        "type": "string",
        "pattern": r"^1\.",
        "description": "The version of CloudEvents.",
        "examples": ["1.0"],
    },
    "id": {
        "type": "string",
        "minLength": 1,
        "maxLength": 200,
        "description": "With `source`, identifies the event.",
        "examples": ["e-1"],
    },
    "source": {
        "type": "string",
        "minLength": 1,
        "maxLength": 200,
        "description": "The event's sender.",
        "examples": ["repricer"],
    },
    "time": {
        "type": "string",
        "format": "date-time",
        "description": "The time of the change. Default: now.",
        "examples": ["2026-01-31T12:00:00Z"],
    },
    "traceparent": {
        "type": "string",
        "description": "The event's trace context.",
        "examples": ["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
    },
}


def typed(components: dict[str, Any]) -> None:
    """Make `MarketEvent`, `CloudEvent` and `EventView` unions by `type`.

    Args:
        components: The document's schemas; those of the events' data are among them.
    """
    event = components["MarketEvent"]
    shared = {name: field for name, field in event["properties"].items() if name not in ("type", "data")}
    components["MarketEvent"] = _union(components, event["description"], "Event", shared, ())
    components["MarketEvent"]["examples"] = event["examples"]
    required = ("specversion", "id", "source")
    components["CloudEvent"] = _union(components, "A CloudEvent 1.0 in JSON.", "CloudEvent", _CLOUD_EVENT, required)
    components["EventView"] = _views(components, components["EventView"])


def _views(components: dict[str, Any], view: dict[str, Any]) -> dict[str, Any]:
    """Events as they are shown. Only the data of a rejected one may have another shape than its type's."""
    statuses = view["properties"]["status"]
    own = [status for status in statuses["enum"] if status != REJECTED]
    fields = {name: field for name, field in view["properties"].items() if name not in ("type", "data")}
    required = tuple(name for name in view["required"] if name not in ("type", "data"))
    union = _union(components, view["description"], "View", fields | {"status": statuses | {"enum": own}}, required)
    data = {"$ref": f"{_REF}JsonObject", "description": "The event's data, as it came."}
    refused = {"status": statuses | {"enum": [REJECTED], "examples": [REJECTED]}, "data": data}
    components["RejectedEventView"] = view | {"title": "RejectedEventView", "properties": view["properties"] | refused}
    del union["discriminator"]  # of rejected events the type tells nothing
    union["oneOf"].append({"$ref": f"{_REF}RejectedEventView"})
    return union


def _union(
    components: dict[str, Any], description: str, suffix: str, fields: dict[str, Any], required: tuple[str, ...]
) -> dict[str, Any]:
    names = {}
    for name, kind in EVENT_TYPES.items():
        title = names[name] = f"{kind.__name__}{suffix}"
        tag = {"type": "string", "enum": [name], "description": "The event's type.", "examples": [name]}
        data = {
            "$ref": f"{_REF}{kind.__name__}",
            "description": "Absolute new values.",
            "examples": [examples.of(components[kind.__name__], components)],
        }
        has_data = bool(components[kind.__name__].get("required"))
        components[title] = {
            "title": title,
            "description": components[kind.__name__]["description"],
            "type": "object",
            "properties": {"type": tag, "data": data, **deepcopy(fields)},
            "required": ["type", *(["data"] if has_data else []), *required],
        } | ({"additionalProperties": False} if suffix == "Event" else {})
    refs = {name: f"{_REF}{title}" for name, title in names.items()}
    return {
        "description": description,
        "oneOf": [{"$ref": ref} for ref in refs.values()],
        "discriminator": {"propertyName": "type", "mapping": refs},
    }
