"""The component schemas of the OpenAPI document, from msgspec: they state all that msgspec refuses.

Litestar's own schemas omit the limits of optional fields, and that unknown fields are refused.
"""

from collections.abc import Iterable, Iterator
from typing import Any, get_args

import msgspec
from litestar import Litestar
from litestar.openapi.spec import Schema

from api.http import event_schemas, json_values, rule_fields
from shared.market_events.events import EVENT_TYPES
from shared.plans.results import PlanResult

# An amount in an answer is a string of digits. A request may also have a number, which is read by its digits.
_AMOUNT = {"type": "string", "pattern": r"^-?\d+(\.\d+)?$"}
_AMOUNT_TAKEN = {"type": ["string", "number"], "pattern": r"^\d+(\.\d+)?$", "minimum": 0}


def replace(app: Litestar) -> None:
    """Replace the component schemas of an application's document."""
    components: dict[str, Any] = dict(app.openapi_schema.components.schemas)
    handlers: list[Any] = [handler for route in app.routes for handler in getattr(route, "route_handlers", ())]
    documented = [handler for handler in handlers if handler.operation_id]
    taken = _schemas(
        _structs(each.parsed_fn_signature.parameters["data"].annotation for each in documented if _has_body(each))
    )
    answers = [each.parsed_return_field.annotation for each in documented]
    answers += [spec.data_container for each in documented for spec in (each.responses or {}).values()]
    answered = _schemas(_structs(answers))
    for name, former in list(components.items()):
        if (schema := taken.get(name) or answered.get(name)) is None:
            continue
        if isinstance(former, Schema) and former.examples:
            schema["examples"] = former.examples
        amount = _AMOUNT_TAKEN if name in taken and name not in rule_fields.SIGNED else _AMOUNT
        components[name] = _completed(schema, amount)
    for structs, amount in ((EVENT_TYPES.values(), _AMOUNT_TAKEN), ((PlanResult,), _AMOUNT)):
        for name, schema in sorted(_schemas(structs).items()):
            components.setdefault(name, _completed(schema, amount))
    components |= json_values.SCHEMAS
    event_schemas.typed(components)
    app.openapi_schema.components.schemas = components


def _has_body(handler: Any) -> bool:
    return "data" in handler.parsed_fn_signature.parameters


def _structs(annotations: Iterable[Any]) -> Iterator[type[msgspec.Struct]]:
    """The structs in annotations, in unions and responses, too."""
    for annotation in annotations:
        if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
            yield annotation
        else:
            yield from _structs(get_args(annotation))


def _schemas(structs: Iterable[type[msgspec.Struct]]) -> dict[str, dict[str, Any]]:
    _, found = msgspec.json.schema_components(set(structs), ref_template="#/components/schemas/{name}")
    for kind in _known(msgspec.Struct):
        if kind.__name__ in found and kind.__module__.startswith(("shared.pricing.", "shared.plans.", "api.routes.")):
            rule_fields.complete(kind, found[kind.__name__])
    return found


def _known(kind: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for child in kind.__subclasses__():
        yield child
        yield from _known(child)


def _completed(schema: Any, amount: dict[str, Any]) -> Any:
    """A schema with its amounts as on the wire, and with the first paragraph of its descriptions."""
    if isinstance(schema, list):
        return [_completed(each, amount) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {
        name: value if name in {"examples", "default"} else _completed(value, amount) for name, value in schema.items()
    }
    if found.get("format") == "decimal":
        del found["format"]
        found |= amount
    if "$ref" in found:
        found.pop("type", None)  # a stored document that another schema describes
    if "enum" in found and all(isinstance(value, str) for value in found["enum"]):
        found["type"] = "string"
    if found.get("type") == "object" and not found.keys() & {"properties", "additionalProperties"}:
        found["additionalProperties"] = True
    if isinstance(found.get("default"), dict):
        # Generators read the default of an object as its type's fields.
        del found["default"]
    kind = found.get("properties", {}).get("type", {})
    if len(kind.get("enum", ())) == 1:
        kind.setdefault("description", "The type, which tells the other fields.")
    for choice in found.get("anyOf", ()):
        # An optional field is described as the type that it may have.
        found = {name: choice[name] for name in ("description", "examples") if name in choice} | found
    if isinstance(found.get("description"), str):
        found["description"] = found["description"].partition("\n\n")[0]
    return found
