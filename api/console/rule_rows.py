"""Rows of a rule's form, added, removed and moved by its buttons: nothing is written, and all that was typed stays."""

import re

from api.console import rule_forms
from api.console.forms import Form

_is_row = re.compile(r"(?P<list>.+)\.(?P<index>\d{1,5})", re.ASCII).fullmatch


def changed(form: Form) -> Form | None:
    """The form after the button of a list or a row was pressed; None: none was."""
    if name := form.text("add"):
        added = f"{name}.{rule_forms.rows_in(form, name)}"
        return form.renamed(lambda same: same, added, **{added: ""})
    if found := _is_row(form.text("remove")):
        name, order = found["list"], list(range(rule_forms.rows_in(form, found["list"])))
        return _in_order(form, name, [index for index in order if index != int(found["index"])], name)
    if found := _is_row(form.text("up")):
        name, order = found["list"], list(range(rule_forms.rows_in(form, found["list"])))
        index = int(found["index"])
        if 0 < index < len(order):
            order[index - 1 : index + 1] = index, index - 1
        return _in_order(form, name, order, f"{name}.{max(index - 1, 0)}")
    return None


def _in_order(form: Form, name: str, order: list[int], focus: str) -> Form:
    """The form with the rows of a list in another order, by their old indexes; the others are left out."""
    places = {str(old): new for new, old in enumerate(order)}

    def renamed(field: str) -> str | None:
        if not field.startswith(f"{name}."):
            return field
        index, dot, rest = field.removeprefix(f"{name}.").partition(".")
        if not index.isdecimal():
            return field
        return f"{name}.{places[index]}{dot}{rest}" if index in places else None

    return form.renamed(renamed, focus)
