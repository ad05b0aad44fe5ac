"""A bad row names all its faults, in the file's own columns."""

import json

import pytest

from shared.importing.entry_checking import BadRow, EntryCheck
from shared.importing.rows import Reader, Row
from tests.unit.importing.test_simple_rows import check

NAMES = (
    *("product_id", "name", "currency", "base_price", "cost", "stock", "min_price", "max_price"),
    *("strategy", "tiers", "content_amount", "content_unit"),
)
GOOD = {"product_id": "A-1", "name": "Kettle", "currency": "USD", "base_price": "10.00"}
SPOILT: list[tuple[dict[str, str], list[str]]] = [
    ({"cost": "NaN"}, ["cost"]),
    (dict.fromkeys(GOOD, ""), list(GOOD)),
    ({"name": "x" * 201, "currency": "XXX", "cost": "cheap", "stock": "-1"}, ["cost", "name", "currency", "stock"]),
    ({"base_price": "1.001", "min_price": "9", "max_price": "8", "strategy": "gone"},
     ["base_price", "min_price", "strategy"]),
    ({"stock": "1.5", "tiers": "cheap", "content_amount": "0", "content_unit": "pints"},
     ["stock", "tiers", "content"]),
    ({"content_amount": "much", "content_unit": "pints", "cost": "-1"}, ["content_amount", "cost"]),
]  # fmt: skip


def columns_of(field: str, reason: str) -> list[str]:
    """The columns at fault: the first one, and those that the reason names."""
    return [field, *(part.partition(": ")[0] for part in reason.split("; ")[1:] if ": " in part)]


@pytest.mark.parametrize(("spoilt", "columns"), SPOILT, ids=[" ".join(columns) for _, columns in SPOILT])
def test_a_row_of_a_table_names_every_column_at_fault(spoilt: dict[str, str], columns: list[str]) -> None:
    reader = Reader({}, [(name, at) for at, name in enumerate(NAMES)], len(NAMES))
    cells = [(GOOD | spoilt).get(name, "") for name in NAMES]
    line = check(reader).full(Row(7, ",".join(cells), cells))
    assert isinstance(line, str)
    _, _, field, reason, *_ = line.split("\t")
    assert [name.partition(".")[0] for name in columns_of(field, reason)] == columns


def test_an_object_names_unknown_fields_and_wrong_types() -> None:
    found = json.dumps(GOOD | {"colour": "red", "cost": "1_0", "stock": "many", "tags": ["a", "a"]})
    line = check(Reader({})).full(Row(1, found, None))
    assert isinstance(line, str)
    _, _, field, reason, *_ = line.split("\t")
    assert sorted(columns_of(field, reason)) == ["colour", "cost", "stock", "tags"]


def test_a_row_of_another_form_has_one_reason() -> None:
    reader = Reader({}, [("product_id", 0), ("name", 1)], 2)
    line = check(reader).full(Row(1, "A-1", ["A-1"]))
    assert isinstance(line, str)
    assert line.split("\t")[2:4] == ["row", "1 columns, not 2 as in the header"]


def test_an_entry_names_every_column_at_fault() -> None:
    names = ("product_id", "amount", "currency", "from", "zone", "price_decimals")
    reader = Reader({}, [(name, at) for at, name in enumerate(names)], len(names))
    cells = ["A-1", "cheap", "EUR", "soon", "Mars", "9"]
    [bad] = _bad(EntryCheck(reader, "l", 3, "USD", False), cells)
    assert bad.field == "amount"
    assert set(columns_of(bad.field, bad.reason)) == {"amount", "currency", "from", "zone", "price_decimals"}


def _bad(entries: EntryCheck, cells: list[str]) -> list[BadRow]:
    found = entries.full([Row(2, ",".join(cells), cells)])
    assert isinstance(found, list)
    return found
