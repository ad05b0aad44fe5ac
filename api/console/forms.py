"""Forms of the console: read into the structs of the API's bodies, and shown again with what is wrong."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qs

import msgspec

from api.http.problems import Problem, problem_of
from shared.errors import InvalidInput, PricingError, translated
from shared.pricing.answer import NotQuoted
from shared.wire import amounts

T = TypeVar("T")

# A policy has up to 30 for each strategy, and 2 for each category.
MOST_FIELDS = 10_000
# Of the console itself, not of the API's bodies.
OWN_FIELDS = ("csrf", "next")
# What a browser's field for an instant sends; the console shows and reads UTC.
_is_local_instant = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?").fullmatch


class Form:
    """The fields of a form, as they were typed.

    Attributes:
        problem: The first fault that was found; None: none was.
        focus: The name of the field that has the focus when the form is shown; empty: none.
    """

    def __init__(
        self, values: Mapping[str, Sequence[str]], problem: Problem | None = None, focus: str = "", fault: str = ""
    ) -> None:
        self._values, self.problem, self.focus, self._fault = values, problem, focus, fault

    @classmethod
    def of_body(cls, body: bytes) -> "Form":
        """The form in a request's body.

        Raises:
            InvalidInput: it has too many fields, or is not UTF-8.
        """
        try:
            return cls(parse_qs(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS))
        except ValueError as error:
            raise InvalidInput(f"no form: {error}") from None

    def text(self, name: str, default: str = "") -> str:
        """A field's value; the last one of several."""
        return self._values.get(name, [default])[-1]

    def has(self, name: str) -> bool:
        """Whether the field was sent, empty or not."""
        return name in self._values

    def all(self, name: str) -> Sequence[str]:
        """All values of a field, as of several ticked boxes."""
        return self._values.get(name, [])

    def items(self) -> list[tuple[str, str]]:
        """What was typed, but the form's own token."""
        return [(name, value) for name, values in self._values.items() if name != "csrf" for value in values]

    def read(self, kind: type[T], **given: object) -> T:
        """The form as a struct of the API. Empty fields are left out; instants are in UTC.

        Args:
            kind: The struct.
            given: Fields that the form does not have, or not as text.

        Raises:
            InvalidInput: a field is wrong; `path` names it.
        """
        document: dict[str, Any] = {
            name: _value(values[-1])
            for name, values in self._values.items()
            if values[-1].strip() and name not in OWN_FIELDS
        }
        document |= given
        with translated():
            read = msgspec.convert(document, kind, strict=False)
        amounts.check(read, document)
        return read

    def failed(self, error: PricingError | NotQuoted) -> "Form":
        """The same form with its problem, in the words of the API."""
        return Form(self._values, problem_of(error, ""))

    def failed_at(self, name: str) -> "Form":
        """The same form, with its problem at a field, which has the focus."""
        return Form(self._values, self.problem, name, name)

    def renamed(self, rename: Callable[[str], str | None], focus: str, **added: str) -> "Form":
        """The same form with other names of fields; those that become None are left out."""
        renamed = {new: values for name, values in self._values.items() if (new := rename(name)) is not None}
        return Form(renamed | {name: [text] for name, text in added.items()}, None, focus)

    def error_of(self, name: str) -> str:
        """What is wrong with a field; empty: nothing."""
        if self.problem is None or self.problem.path is None:
            return ""
        if self._fault:
            return self.problem.detail if name == self._fault else ""
        first = re.split(r"[.\[]", self.problem.path.removeprefix("$").lstrip("."), maxsplit=1)[0]
        return self.problem.detail if first == name else ""

    def error_of_none(self, names: Sequence[str]) -> str:
        """What is wrong with the whole form, or with a field that is none of these."""
        if self.problem is None or self._fault or any(self.error_of(name) for name in names):
            return ""
        return self.problem.detail


EMPTY = Form({})


def _value(text: str) -> str:
    text = text.strip()
    if found := _is_local_instant(text):
        return f"{text}Z" if found[1] else f"{text}:00Z"
    return text
