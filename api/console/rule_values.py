"""The values of single fields of rules: as text in a form, and read back as the API takes them."""

import re
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import inspect

from shared.errors import InvalidInput, NotJson, translated
from shared.rulebook.documents import NUMBERS
from shared.wire import amounts

_is_short_number = re.compile(r"-?\d{1,9}(\.\d{1,9})?", re.ASCII).fullmatch


def bare(kind: inspect.Type) -> tuple[inspect.Type, bool]:
    """A type without its None, and whether it had one."""
    if isinstance(kind, inspect.Metadata):
        return bare(kind.type)
    if isinstance(kind, inspect.UnionType):
        others = tuple(each for each in kind.types if not isinstance(each, inspect.NoneType))
        is_nullable = len(others) < len(kind.types)
        return (bare(others[0])[0] if len(others) == 1 else inspect.UnionType(others)), is_nullable
    return kind, False


def text(kind: inspect.Type, value: Any) -> str:
    """A value as it stands in its field; None and UNSET are empty."""
    if value is None or value is msgspec.UNSET:
        return ""
    if isinstance(kind, inspect.AnyType) and not (isinstance(value, str) and _any(value) == value):
        return NUMBERS.encode(value).decode()
    return str(value).lower() if isinstance(value, bool) else str(value)


def value(kind: inspect.Type, typed: str, name: str) -> Any:
    """The value that was typed; a text that is none stays as it is, and the API refuses it.

    Args:
        kind: The field's bare type.
        typed: Not empty.
        name: The field's name, which tells percents from shares.
    """
    match kind:
        case inspect.BoolType():
            return {"true": True, "false": False}.get(typed, typed)
        case inspect.IntType():
            return int(typed) if _is_short_number(typed) and "." not in typed else typed
        case inspect.DecimalType() if typed.endswith("%"):
            return _in_percent(name, typed[:-1].strip())
        case inspect.AnyType():
            return _any(typed)
    return typed


def _any(typed: str) -> Any:
    """A number, true, false or a text in quotes as JSON has it; any other text as it is."""
    try:
        read = json(typed, "")
    except InvalidInput:
        return typed
    return read if isinstance(read, str | int | Decimal) else typed


def _in_percent(name: str, typed: str) -> str:
    """A number that was typed with a percent sign: 25 % is the share 0.25, and 25 where the field counts percents."""
    if not _is_short_number(typed):
        return f"{typed} %"
    return typed if name == "percent" else f"{Decimal(typed).scaleb(-2):f}"


def json(typed: str, name: str) -> Any:
    """The JSON in a field; its numbers stay exact.

    Raises:
        InvalidInput: it is none; `path` names the field.
    """
    try:
        with translated():
            return msgspec.json.Decoder(float_hook=amounts.exact).decode(typed.encode())
    except NotJson as error:
        raise InvalidInput(f"is no JSON: {error}", f"$.{name}") from None
