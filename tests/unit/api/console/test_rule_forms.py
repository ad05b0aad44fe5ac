"""Forms of rules, read back as documents."""

import pytest

from api.console import rule_forms
from api.console.forms import Form
from shared.rulebook.parts import Kind


@pytest.mark.parametrize(
    ("kind", "field", "typed", "read"),
    [
        ("policy", "min_margin", "25 %", "0.25"),
        ("policy", "min_margin", "2.5%", "0.025"),
        ("policy", "min_margin", "0.25", "0.25"),
        ("policy", "min_margin", "1e999999999 %", "1e999999999 %"),
        ("policy", "min_margin", "much %", "much %"),
        ("promotion", "percent", "20 %", "20"),
        ("promotion", "name", "20 %", "20 %"),
    ],
)
def test_a_share_may_be_typed_in_percent(kind: Kind, field: str, typed: str, read: str) -> None:
    assert rule_forms.document_of(kind, Form({field: [typed]})) == {field: read}


@pytest.mark.parametrize(
    ("typed", "read"), [("observe", "observe"), ('"on"', "on"), ('{"books": "off"}', {"books": "off"})]
)
def test_a_word_needs_no_quotes_where_a_document_may_stand(typed: str, read: object) -> None:
    assert rule_forms.document_of("policy", Form({"automation": [typed]})) == {"automation": read}


def test_a_label_names_the_unit() -> None:
    labels = {one.name: one.label for one in rule_forms.fields("policy", {})}
    assert labels["hold_expires_h"] == "Hold expires, hours"
    assert labels["min_margin"] == "Min margin"
