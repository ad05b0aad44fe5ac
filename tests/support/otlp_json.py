"""OTLP's JSON by way of protobuf: the form that the engine's own has to agree with."""

import base64
from collections.abc import Iterator
from typing import Any

import msgspec
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

_IDS = {"traceId", "spanId", "parentSpanId"}


def encode(request: Message) -> bytes:
    """The line of a file that holds an export request."""
    document = MessageToDict(request, use_integers_for_enums=True)
    return msgspec.json.encode(_with_hex_ids(document)) + b"\n"


def _with_hex_ids(value: Any) -> Any:
    """The same document with ids as OTLP's JSON has them; protobuf's own JSON has base64."""
    if isinstance(value, list):
        return [_with_hex_ids(item) for item in value]
    if isinstance(value, dict):
        return dict(_hex_items(value))
    return value


def _hex_items(document: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in document.items():
        if name in _IDS:
            yield name, base64.b64decode(value).hex()
        else:
            yield name, _with_hex_ids(value)
