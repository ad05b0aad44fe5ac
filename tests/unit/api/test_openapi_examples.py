"""What generators of clients need of the document: examples that validate, typed events, and nulls where they are."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from shared.market_events.events import EVENT_TYPES

DOCUMENT: dict[str, Any] = json.loads((Path(__file__).parents[3] / "docs" / "openapi.json").read_text())
SCHEMAS = DOCUMENT["components"]["schemas"]
OPERATIONS = {operation["operationId"]: operation for item in DOCUMENT["paths"].values() for operation in item.values()}


REGISTRY = jsonschema_rs.Registry([("urn:api", DOCUMENT)])


def faults(schema: Any, value: Any) -> list[str]:
    named = json.loads(json.dumps(schema).replace('"#/components/', '"urn:api#/components/'))
    validator = jsonschema_rs.Draft202012Validator(named, registry=REGISTRY)
    return [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(value)]


def contents(operation: Any) -> Iterator[tuple[str, Any]]:
    """The content of each answer, by its status and type."""
    for status, response in operation["responses"].items():
        for kind, content in response.get("content", {}).items():
            if kind.endswith("json"):
                yield f"{status} {kind}", content


def value_of(example: Any) -> Any:
    name = example.get("$ref", "").rpartition("/")[2]
    return (DOCUMENT["components"]["examples"][name] if name else example)["value"]


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_status_has_an_example_that_validates(name: str) -> None:
    for which, content in contents(OPERATIONS[name]):
        (example,) = content["examples"].values()
        assert faults(content["schema"], value_of(example)) == [], which


def test_the_example_of_a_problem_is_one_of_its_status() -> None:
    for operation in OPERATIONS.values():
        for which, content in contents(operation):
            if "problem" in which:
                (example,) = content["examples"].values()
                assert value_of(example)["status"] == int(which[:3])


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_examples_of_fields_validate(name: str) -> None:
    for field, schema in SCHEMAS[name].get("properties", {}).items():
        for example in schema.get("examples", []):
            assert faults(schema, example) == [], field


@pytest.mark.parametrize("name", [name for name, each in OPERATIONS.items() if "requestBody" in each])
def test_the_examples_of_requests_validate(name: str) -> None:
    for content in OPERATIONS[name]["requestBody"]["content"].values():
        for example in content["schema"].get("examples", []):
            assert faults(content["schema"], example) == []


def test_each_type_of_event_has_its_data() -> None:
    for union in ("MarketEvent", "CloudEvent"):
        mapping = SCHEMAS[union]["discriminator"]["mapping"]
        assert mapping.keys() == EVENT_TYPES.keys()
        for name, kind in EVENT_TYPES.items():
            fields = SCHEMAS[mapping[name].rpartition("/")[2]]["properties"]
            assert fields["type"]["enum"] == [name]
            assert fields["data"]["$ref"] == f"#/components/schemas/{kind.__name__}"


def parts(part: Any) -> Iterator[dict[str, Any]]:
    """All objects of the document that are no example."""
    if isinstance(part, dict):
        yield part
        for name, value in part.items():
            if name not in ("examples", "example", "default"):
                yield from parts(value)
    elif isinstance(part, list):
        for each in part:
            yield from parts(each)


def test_no_parameter_is_null_and_no_type_is_empty() -> None:
    for operation in OPERATIONS.values():
        for parameter in operation.get("parameters", []):
            assert "null" not in json.dumps(parameter["schema"].get("type", "")), parameter["name"]
            assert {"type": "null"} not in parameter["schema"].get("oneOf", []), parameter["name"]
    for part in parts(DOCUMENT):
        if part.get("type") == "array":
            assert part.get("items"), part
        if part.get("type") == "object":
            assert part.keys() & {"properties", "additionalProperties"}, part
