"""Choices: the words that a document's type allows at a place."""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from msgspec import inspect

_STEP = re.compile(r"[^.\[\]]+")
_type_info = cache(inspect.type_info)


def of(kind: Any, path: str) -> list[str]:
    """The values of an enumeration at a path such as `items[0].unit`; of a struct, its fields; else none."""
    return _choices(_type_info(kind), _STEP.findall(path.removeprefix("$")))


def _choices(kind: inspect.Type, way: Sequence[str]) -> list[str]:
    match kind:
        case inspect.Metadata():
            return _choices(kind.type, way)
        case inspect.UnionType():
            return next((found for each in kind.types if (found := _choices(each, way))), [])
        case inspect.LiteralType() if not way:
            return [str(value) for value in kind.values]
        case inspect.StructType() if not way:
            return [field.encode_name for field in kind.fields]
        case inspect.StructType():
            return next((_choices(field.type, way[1:]) for field in kind.fields if field.encode_name == way[0]), [])
        case inspect.DictType() if way:
            return _choices(kind.value_type, way[1:])
        case inspect.VarTupleType() | inspect.ListType() if way:
            return _choices(kind.item_type, way[1:])
    return []
