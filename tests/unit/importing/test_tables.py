"""Tables in three forms: no digit of an amount is lost, and no text becomes a number or a formula."""

import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import python_calamine as calamine

from shared.importing import tables
from shared.importing.tables import Form

NAMES = ("id", "price", "at", "tags", "note")
AT = datetime(2026, 11, 27, 18, 0, tzinfo=UTC)
ROWS: list[tuple[Any, ...]] = [
    ("007", Decimal("49.90"), AT, ["a", "b"], None),
    ("=1+1", Decimal("999999999999.9999"), None, [], 'a "b", c'),
    ("http://shop.example", Decimal("1E+3"), None, {"x": Decimal("0.10")}, True),
]


def written(form: Form, *, protects: bool = False) -> bytes:
    file = io.BytesIO()
    assert tables.write(file, form, NAMES, iter(ROWS), protects=protects) == 3
    return file.getvalue()


def test_csv_has_plain_numbers_and_instants() -> None:
    assert written("csv").decode().splitlines() == [
        "id,price,at,tags,note",
        '007,49.90,2026-11-27T18:00:00Z,"[""a"",""b""]",',
        '=1+1,999999999999.9999,,[],"a ""b"", c"',
        'http://shop.example,1000,,"{""x"":""0.10""}",true',
    ]
    assert written("csv", protects=True).decode().splitlines()[2].startswith("'=1+1,")


def test_json_lines_have_amounts_as_texts() -> None:
    first, *_ = map(json.loads, written("jsonl").splitlines())
    assert first == {"id": "007", "price": "49.90", "at": "2026-11-27T18:00:00Z", "tags": ["a", "b"], "note": None}


def test_a_workbook_has_numbers_as_numbers_and_texts_as_texts() -> None:
    book = calamine.CalamineWorkbook.from_filelike(io.BytesIO(written("xlsx")))
    header, *rows = book.get_sheet_by_index(0).to_python()
    assert header == list(NAMES)
    assert rows[0] == ["007", 49.9, "2026-11-27T18:00:00Z", '["a","b"]', ""]
    assert rows[1][:2] == ["=1+1", "999999999999.9999"]
    assert rows[2][0] == "http://shop.example"


def test_a_worksheet_that_is_too_small_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MOST_SHEET_ROWS", 2)
    with pytest.raises(tables.TooManyRows, match="at most 2 rows; export CSV"):
        written("xlsx")


@pytest.mark.parametrize(
    ("name", "form"), [("a.csv", "csv"), ("a", "csv"), ("a.jsonl.gz", "jsonl"), ("A.XLSX", "xlsx"), ("-", "csv")]
)
def test_the_name_tells_the_form(name: str, form: str) -> None:
    assert tables.form_of(Path(name)) == form
