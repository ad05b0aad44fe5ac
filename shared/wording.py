"""Plain sentences for the faults that msgspec finds: what is allowed, and what was given."""

import re
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches

_KINDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number such as 49.90",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "datetime": "a time such as 2026-11-27T18:00:00Z",
    "uuid": "a UUID",
    "null": "null",
}
_FORMS = {
    "^[A-Z]{3}$": "must be three capital letters, such as USD",
    r"^[A-Za-z0-9][A-Za-z0-9._-]*$": "must begin with a letter or digit, and go on with letters, digits, . _ and -",
    r"^1\.": "must be 1.0 or a later 1.x",
    "^(json|console)$": "must be json or console",
    "^(debug|info|warning|error)$": "must be debug, info, warning or error",
}
_POINTER = re.compile(r"^(?P<reason>.*?)(?: - at `(?P<path>\$[^`]*)`)?$", re.DOTALL)
_FIELD = re.compile(r"^`(?P<field>[\w.\[\]]+)` ")
_UNKNOWN_FIELD = re.compile(r"unknown field `(?P<field>[^`]*)`")
_UNITS = {"str": "characters", "array": "entries", "object": "entries", "bytes": "bytes"}


def fault_of(text: str) -> tuple[str, str]:
    """The words and the path of a fault that msgspec found.

    The text has the path of a wrong field. That of a struct's own check starts with the field's name in backticks,
    which is appended to the path of the struct.
    """
    match = _POINTER.match(text)
    reason, path = (match["reason"], match["path"] or "$") if match else (text, "$")
    if field := _FIELD.match(reason) or _UNKNOWN_FIELD.search(reason):
        path = f"{path}.{field['field']}"
    return worded(reason), path


def worded(reason: str) -> str:
    """A fault as msgspec words it, in words for people; any other text as it is."""
    for pattern, words in _WORDS:
        if found := pattern.fullmatch(reason):
            return words(found)
    return reason


def with_choices(reason: str, choices: Sequence[str]) -> str:
    """A fault with the words that are allowed in the place of an unknown one, and the one that was probably meant."""
    found = _UNKNOWN(reason)
    if not any(choices) or not found:
        return reason
    return f"{reason}{meant(found['name'], choices) or ';'} use one of {', '.join(choices)}"


def meant(given: str, known: Iterable[str]) -> str:
    """`; did you mean NAME?` with the name that is like the given one; empty: there is none."""
    by_key = {name.casefold(): name for name in known}
    close = get_close_matches(given.casefold(), by_key, 1)
    return f"; did you mean {by_key[close[0]]}?" if close else ""


def _kinds(names: str) -> str:
    names = names.replace("int | float", "float")
    return " or ".join(_KINDS.get(name, name) for name in names.split(" | "))


def _bound(found: re.Match[str]) -> str:
    sign, limit = found["sign"], found["limit"]
    most = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than"}[sign]
    return f"must be {_KINDS.get(found['kind'], found['kind'])} of {most} {limit}"


def _length(found: re.Match[str]) -> str:
    unit = _UNITS.get(found["kind"], "parts")
    if found["limit"] == "1":
        unit = {"entries": "entry"}.get(unit, unit.removesuffix("s"))
    most = "at least" if found["sign"] == ">=" else "at most"
    return f"must have {most} {found['limit']} {unit}"


def _form(found: re.Match[str]) -> str:
    return _FORMS.get(found["pattern"], "has a wrong form; the API's documentation shows an example")


def _unknown(found: re.Match[str]) -> str:
    return with_choices(_UNKNOWN_WORDS[found["kind"]].format(found["name"]), (found["choices"] or "").split(", "))


_UNKNOWN_WORDS = {
    "Invalid enum value '": "{!r} is not allowed there",
    "Object contains unknown field `": "unknown field `{}`",
}
_UNKNOWN = re.compile(r"(?:unknown field `|')(?P<name>[^`']*)(?:`|' is not allowed there)").fullmatch
_WORDS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = tuple(
    (re.compile(pattern, re.DOTALL), words)
    for pattern, words in (
        (
            r"Expected `(?P<kinds>[^`]*)`, got `(?P<given>[^`]*)`",
            lambda m: f"must be {_kinds(m['kinds'])}, not {_kinds(m['given'])}",
        ),
        (r"Expected `str` matching regex '(?P<pattern>.*)'", _form),
        (r"Expected `(?P<kind>\w+)` of length (?P<sign>[<>]=) (?P<limit>\d+)", _length),
        (r"Expected `(?P<kind>\w+)` (?P<sign>[<>]=?) (?P<limit>\S+)", _bound),
        (r"Expected `\w+` that's a multiple of (?P<step>\S+)", lambda m: f"must be a multiple of {m['step']}"),
        (r"Object missing required field `(?P<name>[^`]*)`", lambda m: f"the field `{m['name']}` is missing"),
        (
            r"(?P<kind>Invalid enum value '|Object contains unknown field `)(?P<name>[^`']*)['`]"
            r"(?:; use one of (?P<choices>.*))?",
            _unknown,
        ),
        (r"Invalid decimal string", lambda _: f"must be {_KINDS['decimal']}"),
        (r"Invalid RFC3339 encoded datetime", lambda _: f"must be {_KINDS['datetime']}"),
        (r"Expected `datetime` with a timezone component", lambda _: "needs an offset from UTC, such as Z or +01:00"),
        (r"Invalid UUID", lambda _: f"must be {_KINDS['uuid']}"),
    )
)
