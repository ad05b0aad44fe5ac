"""Parts of the rulebook as forms: every field of their structs, with its help, and read back as a document."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import UNSET, inspect

from api.console import rule_values
from api.console.forms import Form
from api.http import rule_fields
from api.http.problems import Problem
from shared.errors import InvalidInput
from shared.rulebook.parts import KINDS, Kind

# Instants that the write computes, and the revision that the loading of entries writes.
NOT_WRITTEN = ("opens", "closes", "revision")
# The units at the ends of names.
UNITS = {"h": "hours", "s": "seconds", "d": "days"}
# A box that is ticked; a choice that has fields of its own.
YES, OTHER = "yes", "other"
# How a description names the keys and the values of a map.
_is_map = re.compile(r"(?P<key>[^→]+) → (?P<value>[^,.;]+)").match
_find_key = re.compile(r"\bby (?P<key>\w+)").search
_named = re.compile(r"`(\w+)`")
_missing = re.compile(r"the field `([^`]+)` is missing").fullmatch


class _Place(NamedTuple):
    """Where a field stands: the name of its input, and its path in the document."""

    name: str
    path: str
    label: str = ""
    help: str = ""
    is_required: bool = False


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A field of a part, or several of them.

    Attributes:
        key: Its name in its struct.
        name: The name of its input: `strategies.0.value.competitor.pick`.
        path: Its place in the document, as problems name it: `$.strategies.match.competitor.pick`.
        kind: text; lines: one value in each; choice: one of `options`; group: a struct; optional: a struct behind a
            box to tick; rows: a list of structs; pairs: a map, of nodes of the kind pair with one child; variant: a
            choice, the last of which has the fields of its child.
        value: The text in its input.
        is_sent: Whether the form has it.
        options: The values and labels of a choice.
        type: Its type, without None.
    """

    key: str
    name: str
    path: str
    label: str
    help: str
    is_required: bool
    kind: Literal["text", "lines", "choice", "group", "optional", "rows", "pairs", "pair", "variant"]
    value: str = ""
    is_sent: bool = True
    is_nullable: bool = False
    options: list[tuple[str, str]] = []
    children: list["Node"] = []
    type: inspect.Type


def nodes(kind: Kind, form: Form, document: Mapping[str, Any]) -> list[Node]:
    """The fields of a part, with what was typed.

    Args:
        kind: The part's kind.
        form: The typed values; a field that is missing there has the value of the document.
        document: The part in force, or {}.
    """
    return _fields(form, _struct(inspect.type_info(KINDS[kind])), _Place("", "$"), document)


def document_of(kind: Kind, form: Form) -> dict[str, Any]:
    """The document of a form. Fields that it lacks are left out, and so are empty ones that cannot be null.

    Raises:
        InvalidInput: a row of a map has no name, or that of another row; `path` is its input's name.
    """
    return _document(nodes(kind, form, {}))


def name_at(found: Sequence[Node], problem: Problem) -> str:
    """The name of the input that a problem is about; empty: it is about none of them."""
    path = problem.path or "$"
    if missing := _missing(problem.detail):
        path = f"{path}.{missing[1]}"
    fitting = [
        (len(one.path), at, one.name)
        for at, one in enumerate(_all(found))
        if path == one.path or path.startswith((f"{one.path}.", f"{one.path}["))
    ]
    return max(fitting, default=(0, 0, ""))[2]


def _all(found: Sequence[Node]) -> Iterator[Node]:
    for one in found:
        yield one
        yield from _all(one.children)


def _fields(form: Form, struct: inspect.StructType, at: _Place, given: Any) -> list[Node]:
    described = rule_fields.descriptions(struct.cls)
    made = []
    for one in struct.fields:
        if one.name not in NOT_WRITTEN:
            name = one.encode_name
            about = _plain(described.get(one.name, described.get(name, "")))
            place = _Place(f"{at.name}.{name}".lstrip("."), f"{at.path}.{name}", _label(name), about, one.required)
            has_value = isinstance(given, Mapping) and name in given
            made.append(_node(form, one.type, place, given[name] if has_value else _default(one)))
    return made


def _node(form: Form, kind: inspect.Type, at: _Place, given: Any) -> Node:
    bare, is_nullable = rule_values.bare(kind)
    common: dict[str, Any] = {
        "key": at.path.rpartition(".")[2],
        **at._asdict(),
        "help": f"{at.help} {_limits(bare)}".strip(),
        "is_sent": form.has(at.name),
        "is_nullable": is_nullable,
        "type": bare,
    }
    match bare:
        case inspect.StructType():
            is_there = YES if isinstance(given, Mapping) else ""
            common |= {"kind": "optional" if is_nullable else "group", "value": form.text(at.name, is_there)}
            common["help"] = common["help"].replace("empty:", "not ticked:")
            return Node(**common, children=_fields(form, bare, at, given))
        case inspect.DictType():
            return Node(**common, kind="pairs", children=_pairs(form, bare, at, given))
        case inspect.VarTupleType(item_type=inspect.StructType() as row):
            children = [
                _node(form, row, _Place(f"{at.name}.{index}", f"{at.path}[{index}]"), one)
                for index, one in _rows(form, at.name, given or ())
            ]
            return Node(**common, kind="rows", children=children)
        case inspect.VarTupleType():
            item, _ = rule_values.bare(bare.item_type)
            lines = "\n".join(rule_values.text(item, each) for each in given or ())
            return Node(**common, kind="lines", value=form.text(at.name, lines))
        case inspect.UnionType(types=(inspect.LiteralType() as words, other)):
            more = _node(form, other, at._replace(name=f"{at.name}.{OTHER}"), None if isinstance(given, str) else given)
            value = given if isinstance(given, str) else OTHER
            options = [*_options(words), (OTHER, _words_of(other, at))]
            return Node(**common, kind="variant", value=form.text(at.name, value), options=options, children=[more])
    value = form.text(at.name, rule_values.text(bare, given))
    if options := _options(bare):
        none = [("", "–")] if is_nullable or not (value or at.is_required) else []
        return Node(**common, kind="choice", value=value, options=none + options)
    return Node(**common, kind="text", value=value)


def _pairs(form: Form, kind: inspect.DictType, at: _Place, given: Any) -> list[Node]:
    names = _is_map(at.help) or _find_key(at.help)
    found = names.groupdict() if names else {}
    key_label, label = found.get("key", "name").capitalize(), found.get("value", at.label).capitalize()
    made = []
    for index, one in _rows(form, at.name, list((given or {}).items())):
        name = f"{at.name}.{index}"
        key = form.text(name, one[0] if one else "").strip()
        place = _Place(f"{name}.value", f"{at.path}.{key}", label, "", True)
        value = _node(form, kind.value_type, place, one[1] if one else UNSET)
        row = place._replace(name=name, path=f"$.{name}", label=key_label)._asdict()
        made.append(Node(**row, key=key, kind="pair", value=key, children=[value], type=kind.key_type))
    return made


def _rows(form: Form, name: str, given: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    """The rows of a list by their index: those of the form, with nothing given, else the given ones."""
    if not form.has(name):
        yield from enumerate(given)
        return
    yield from ((index, None) for index in range(rows_in(form, name)))


def rows_in(form: Form, name: str) -> int:
    """The number of rows that a form has of a list."""
    return next(index for index in count() if not form.has(f"{name}.{index}"))


def _document(found: Sequence[Node]) -> dict[str, Any]:
    read = {one.key: _read(one) for one in found}
    groups = {one.key for one in found if one.kind == "group"}
    return {key: value for key, value in read.items() if value is not UNSET and not (key in groups and not value)}


def _read(one: Node) -> Any:
    if one.kind == "group":
        return _document(one.children)
    if not one.is_sent:
        return UNSET
    typed = one.value.strip()
    match one.kind:
        case "optional":
            return _document(one.children) if typed else None
        case "rows":
            return [_read(each) for each in one.children]
        case "pairs":
            return _map(one.children)
        case "variant" if typed == OTHER:
            (other,) = one.children
            return _map(other.children) if other.kind == "pairs" else _document(other.children)
        case "lines" if isinstance(one.type, inspect.VarTupleType):
            item, _ = rule_values.bare(one.type.item_type)
            lines = [rule_values.value(item, line.strip(), one.key) for line in typed.splitlines() if line.strip()]
            return lines or (None if one.is_nullable else [])
    if not typed:
        return None if one.is_nullable else UNSET
    return rule_values.value(one.type, typed, one.key)


def _map(pairs: Sequence[Node]) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for pair in pairs:
        if not pair.value:
            raise InvalidInput("must be given; remove the row if it is not wanted", pair.path)
        if pair.value in read:
            raise InvalidInput(f"must differ from the other rows; {pair.value} is in two of them", pair.path)
        value = _read(pair.children[0])
        read[pair.value] = "" if value is UNSET else value
    return read


def _struct(kind: inspect.Type) -> inspect.StructType:
    assert isinstance(kind, inspect.StructType)  # noqa: S101 # all parts are structs
    return kind


def _default(one: inspect.Field) -> Any:
    if one.default is not msgspec.NODEFAULT:
        return msgspec.to_builtins(one.default)
    return UNSET if one.default_factory is msgspec.NODEFAULT else msgspec.to_builtins(one.default_factory())


def _options(kind: inspect.Type) -> list[tuple[str, str]]:
    if isinstance(kind, inspect.BoolType):
        return [("true", "yes"), ("false", "no")]
    return [(str(each), _words(str(each))) for each in kind.values] if isinstance(kind, inspect.LiteralType) else []


def _words_of(other: inspect.Type, at: _Place) -> str:
    """The label of the choice that has fields: how its map is keyed, or its struct's description."""
    if isinstance(other, inspect.StructType):
        return (other.cls.__doc__ or "").partition("\n")[0].rstrip(".").lower()
    found = _find_key(at.help)
    return found[0] if found else "one by one"


def _limits(kind: inspect.Type) -> str:
    """The limits of a type, in words."""
    match kind:
        case inspect.IntType(ge=int() as least, le=int() as most):
            return f"From {least:,} to {most:,}."
        case inspect.StrType(max_length=int() as most):
            return f"At most {most:,} characters."
        case inspect.VarTupleType(item_type=inspect.StructType(), max_length=most):
            return f"At most {most:,} rows." if most else ""
        case inspect.VarTupleType():
            allowed = [value for value, _ in _options(rule_values.bare(kind.item_type)[0])]
            return f"One in each line{': ' if allowed else ''}{', '.join(allowed)}."
        case inspect.AnyType():
            return "A number, true or false; a text, in quotes where it looks like one of these."
    return ""


def _label(name: str) -> str:
    bare, _, unit = name.rpartition("_")
    return _words(f"{bare}, {UNITS[unit]}" if unit in UNITS else name).capitalize()


def _words(name: str) -> str:
    return name.replace("_", " ")


def _plain(description: str) -> str:
    """A field's description for people: an empty field is none, null or the default; names are those of the form."""
    text = description.replace("None:", "empty:").replace("null:", "empty:")
    return _named.sub(lambda found: f"“{_label(found[1]).lower()}”", text).replace("`", "")
