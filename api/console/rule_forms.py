"""Parts of the rulebook as forms: every field of their structs, with its help, and read back as a document."""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import inspect

from api.console.forms import Form
from api.http import rule_fields
from shared.errors import InvalidInput, NotJson, translated
from shared.rulebook.documents import NUMBERS
from shared.rulebook.parts import KINDS, Kind
from shared.wire import amounts

# Instants that the write computes, and the revision that the loading of entries writes.
NOT_WRITTEN = ("opens", "closes", "revision")
# The units at the ends of names.
UNITS = {"h": "hours", "s": "seconds"}
_is_short_number = re.compile(r"-?\d{1,9}(\.\d{1,9})?", re.ASCII).fullmatch
_SCALARS = (inspect.StrType, inspect.IntType, inspect.FloatType, inspect.DecimalType)


class RuleField(NamedTuple):
    """One field of a part.

    Attributes:
        kind: text: as it is; number: a whole number; choice: one of `options`; json: a document.
        options: The values and labels of a choice.
        value: The value in force, as text.
    """

    name: str
    label: str
    kind: Literal["text", "number", "choice", "json"]
    help: str
    options: list[tuple[str, str]]
    value: str
    is_required: bool


def fields(kind: Kind, document: Mapping[str, Any]) -> list[RuleField]:
    """The fields of a part.

    Args:
        kind: The part's kind.
        document: The part in force, or {}.
    """
    described = rule_fields.descriptions(KINDS[kind])
    return [_field(one, described, document) for one in _written(kind)]


def document_of(kind: Kind, form: Form) -> dict[str, Any]:
    """The document of a form that has these fields. Fields that are empty are left out.

    Raises:
        InvalidInput: a field is no JSON; `path` names it.
    """
    document: dict[str, Any] = {}
    for one in _written(kind):
        text = form.text(one.encode_name).strip()
        if text:
            document[one.encode_name] = _value(one, text)
    return document


def _written(kind: Kind) -> Iterator[inspect.Field]:
    found = inspect.type_info(KINDS[kind])
    assert isinstance(found, inspect.StructType)  # noqa: S101 # all parts are structs
    return (one for one in found.fields if one.name not in NOT_WRITTEN)


def _field(one: inspect.Field, described: Mapping[str, str], document: Mapping[str, Any]) -> RuleField:
    name, value = one.encode_name, document.get(one.encode_name)
    bare = _bare(one.type)
    if isinstance(bare, inspect.BoolType):
        kind, options = "choice", [("true", "yes"), ("false", "no")]
    elif isinstance(bare, inspect.LiteralType):
        kind, options = "choice", [(str(each), str(each).replace("_", " ")) for each in bare.values]
    else:
        kind, options = "number" if isinstance(bare, inspect.IntType) else "text", []
        kind = kind if isinstance(bare, _SCALARS) else "json"
    if value is None and one.default is not msgspec.NODEFAULT:
        value = msgspec.to_builtins(one.default)
    return RuleField(
        name,
        _label(name),
        kind,  # type: ignore[arg-type] # one of the four
        _plain(described.get(one.name, described.get(name, ""))),
        options if one.required or value is not None else [("", "–"), *options],
        _text(value, kind),
        one.required,
    )


def _label(name: str) -> str:
    bare, _, unit = name.rpartition("_")
    text = f"{bare}, {UNITS[unit]}" if unit in UNITS else name
    return text.replace("_", " ").capitalize()


def _plain(description: str) -> str:
    """A field's description for people: an empty field is none, null or the default."""
    return description.replace("None:", "empty:").replace("null:", "empty:").replace("`", "")


def _bare(kind: inspect.Type) -> inspect.Type:
    """The type without its None."""
    if isinstance(kind, inspect.UnionType):
        others = [each for each in kind.types if not isinstance(each, inspect.NoneType)]
        return _bare(others[0]) if len(others) == 1 else kind
    return _bare(kind.type) if isinstance(kind, inspect.Metadata) else kind


def _text(value: Any, kind: str) -> str:
    if value is None:
        return ""
    if kind == "json":
        if isinstance(value, str):
            return value
        return msgspec.json.format(NUMBERS.encode(value)).decode() if value else ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _value(one: inspect.Field, text: str) -> Any:
    bare = _bare(one.type)
    if isinstance(bare, inspect.BoolType):
        return {"true": True, "false": False}.get(text, text)
    if isinstance(bare, inspect.IntType):
        return int(text) if text.lstrip("-").isdecimal() else text
    if isinstance(bare, inspect.DecimalType) and text.endswith("%"):
        return _in_percent(one.encode_name, text[:-1].strip())
    if isinstance(bare, (inspect.LiteralType, *_SCALARS)):
        return text
    if isinstance(bare, inspect.UnionType) and text.isalpha():  # one of its words: on
        return text
    return json(text, one.encode_name)


def _in_percent(name: str, text: str) -> str:
    """A number that was typed with a percent sign: 25 % is the share 0.25, and 25 where the field counts percents."""
    if not _is_short_number(text):
        return f"{text} %"
    return text if name == "percent" else f"{Decimal(text).scaleb(-2):f}"


def json(text: str, name: str) -> Any:
    """The JSON in a field; its numbers stay exact.

    Raises:
        InvalidInput: it is none; `path` names the field.
    """
    try:
        with translated():
            return msgspec.json.Decoder(float_hook=amounts.exact).decode(text.encode())
    except NotJson as error:
        raise InvalidInput(f"is no JSON: {error}", f"$.{name}") from None
