"""Forms of rules, read back as documents."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from api.console import rule_forms, rule_rows
from api.console.forms import EMPTY, Form
from api.console.rule_forms import Node
from api.http.problems import problem_of
from shared.errors import InvalidInput
from shared.pricing.rulebook import Rulebook
from shared.rulebook import documents
from shared.rulebook.parts import KINDS, Kind


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


def sent(kind: Kind, document: Mapping[str, Any], form: Form = EMPTY) -> dict[str, list[str]]:
    """The fields that a browser sends of a form as it is shown."""
    fields: dict[str, list[str]] = {}

    def walk(found: Sequence[Node]) -> None:
        for one in found:
            if one.kind != "group" or one.name.rpartition(".")[2].isdecimal():
                fields[one.name] = [one.value]
            walk(one.children)

    walk(rule_forms.nodes(kind, form, document))
    return fields


CONDITIONS = [
    {"attribute": "attributes.size", "eq": "10"},
    {"attribute": "attributes.size", "not_in": [Decimal("1.50"), "b b", True, "true"]},
    {"attribute": "quantity", "gte": "2"},
]
ADJUSTMENT = {"of": {"list": "b2b"}, "percent": "5", "applies_to": {"tags": ["a, b", "c"]}}
STRATEGIES = {
    "a.b": {"stock": {"points": [{"stock": 0, "multiplier": "1.2"}, {"stock": 9, "multiplier": "1"}]}},
    "c": {"competitor": {"lowest": "0.5", "highest": "2", "within": None, "max_age_h": None, "only": ["x"]}},
}
PARTS: list[tuple[Kind, dict[str, Any]]] = [
    ("policy", {"strategies": STRATEGIES, "default_strategy": "c", "categories": {}, "automation": {"books": "observe"},
                "hold_above": None, "ending": {"multiple_of": "1"},
                "change_limits": {"quiet_hours": {"from": "22:00", "until": "06:00"}, "max_day_up": None}}),
    ("policy", {"automation": "observe"}),
    ("market", {"tax_rates": {"standard": "0.19"}, "unit_price_per": []}),
    ("price_list", {"id": "a", "kind": "sale", "conditions": CONDITIONS, "adjustment": ADJUSTMENT}),
    ("promotion", {"id": "a", "percent": "5", "applies_to": {"products": ["P-1"]}, "conditions": CONDITIONS[:1]}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "document"), PARTS)
def test_a_form_that_is_sent_as_it_is_shown_changes_nothing(kind: Kind, document: dict[str, Any]) -> None:
    if kind == "policy":
        document = documents.builtins(Rulebook().policy) | document
    part = msgspec.convert(document, KINDS[kind])
    read = rule_forms.document_of(kind, Form(sent(kind, documents.builtins(part))))
    assert documents.read(documents.NUMBERS.encode(read), KINDS[kind]) == part


def test_rows_are_added_moved_and_removed_and_the_others_stay() -> None:
    points = [{"stock": stock, "multiplier": "1"} for stock in (5, 0, 9)]
    document = {"strategies": {"s": {"stock": {"points": points}}, "t": {}}}
    name = "strategies.0.value.stock.points"

    def stocks(form: Form) -> list[int | str]:
        read: dict[str, Any] = rule_forms.document_of("policy", form)
        return [one.get("stock", "") for one in read["strategies"]["s"]["stock"]["points"]]

    def pressed(button: str, value: str) -> Form:
        form = rule_rows.changed(Form(sent("policy", document) | {button: [value]}))
        assert form is not None
        return form

    assert stocks(pressed("add", name)) == [5, 0, 9, ""]
    assert stocks(pressed("up", f"{name}.1")) == [0, 5, 9]
    assert stocks(pressed("up", f"{name}.0")) == [5, 0, 9]
    assert stocks(pressed("remove", f"{name}.0")) == [0, 9]
    assert pressed("up", f"{name}.2").focus == f"{name}.1"
    without = rule_forms.document_of("policy", pressed("remove", "strategies.0"))
    assert list(without["strategies"]) == ["t"]
    assert rule_rows.changed(Form(sent("policy", document))) is None


@pytest.mark.parametrize(
    ("document", "name"),
    [
        ({"min_margin": "2"}, "min_margin"),
        ({"strategies": {"a": {}, "a.b": {"demand": {"lowest": "0", "highest": "1"}}}},
         "strategies.1.value.demand.lowest"),
        ({"strategies": {"a": {"stock": {"points": [{"stock": 1}]}}}},
         "strategies.0.value.stock.points.0.multiplier"),
        ({"strategies": {"a": {"competitor": {"lowest": "1", "highest": "1", "only": [""]}}}},
         "strategies.0.value.competitor.only"),
        ({"change_limits": {"quiet_hours": {"from": "22", "until": "06:00"}}}, "change_limits.quiet_hours.from"),
        ({"automation": {"books": "off"}}, "automation.other.0.value"),
        ({"categories": {"books": "none"}}, "categories"),
        ({"ending": {}}, "ending.multiple_of"),
    ],
)  # fmt: skip
def test_a_problem_stands_at_its_field(document: dict[str, Any], name: str) -> None:
    neutral = {"default_strategy": "a", "strategies": {"a": {}}, "categories": {}}
    document = documents.builtins(Rulebook().policy) | neutral | document
    with pytest.raises(InvalidInput) as refused:
        documents.read(documents.NUMBERS.encode(document), KINDS["policy"])
    found = rule_forms.nodes("policy", Form(sent("policy", document)), {})
    assert rule_forms.name_at(found, problem_of(refused.value, "")) == name


@pytest.mark.parametrize(("keys", "at"), [(["a", ""], "categories.1"), (["a", "a"], "categories.1")])
def test_a_row_without_a_name_of_its_own_is_refused_at_the_name(keys: list[str], at: str) -> None:
    fields = {"categories": [""]} | {f"categories.{index}": [key] for index, key in enumerate(keys)}
    with pytest.raises(InvalidInput) as refused:
        rule_forms.document_of("policy", Form(fields))
    found = rule_forms.nodes("policy", Form(fields), {})
    assert rule_forms.name_at(found, problem_of(refused.value, "")) == at


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_field_has_a_help(kind: Kind) -> None:
    def walk(found: Sequence[Node]) -> Iterator[Node]:
        for one in found:
            yield one
            yield from walk(one.children)

    found = [one for one in walk(rule_forms.nodes(kind, EMPTY, {})) if one.kind not in ("group", "pair")]
    assert [one.name for one in found if not one.help] == []


def test_a_label_names_the_unit() -> None:
    labels = {one.name: one.label for one in rule_forms.nodes("policy", EMPTY, {})}
    assert labels["hold_expires_h"] == "Hold expires, hours"
    assert labels["min_margin"] == "Min margin"
