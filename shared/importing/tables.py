"""Tables that are exported: CSV, JSON Lines or XLSX, row by row, whatever their size."""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, Literal

import msgspec
import xlsxwriter

from shared.importing.spreadsheets import protected

Form = Literal["csv", "jsonl", "xlsx"]
MOST_SHEET_ROWS = 1_048_575  # below the header
# Spreadsheet programs keep this many digits of a number; the others stay texts.
_EXACT_DIGITS = 15
_BLOCK = 1_000


class TooManyRows(OSError):
    """A worksheet has no room for the table."""


def form_of(path: Path) -> Form:
    """The form by a file's name, with or without `.gz`; CSV for other names."""
    name = path.name.lower().removesuffix(".gz")
    return "jsonl" if name.endswith(".jsonl") else "xlsx" if name.endswith(".xlsx") else "csv"


def write(
    file: BinaryIO, form: Form, names: Sequence[str], rows: Iterable[Sequence[Any]], *, protects: bool = False
) -> int:
    """Write a table; returns the number of its rows.

    Args:
        file: The file.
        form: In CSV and XLSX an empty cell stands for none, in JSON Lines null. Amounts are texts in JSON Lines.
        names: The columns.
        rows: Texts, numbers, instants, booleans, None; lists and objects become JSON.
        protects: CSV: put an apostrophe before texts that a spreadsheet program would run as a formula.

    Raises:
        OSError: the file cannot be written.
        TooManyRows: XLSX has at most 1,048,575 rows.
    """
    match form:
        case "csv":
            return _write_csv(file, names, rows, protects=protects)
        case "jsonl":
            return _write_json(file, names, rows)
        case "xlsx":
            return _write_sheet(file, names, rows)


def _write_csv(file: BinaryIO, names: Sequence[str], rows: Iterable[Sequence[Any]], *, protects: bool) -> int:
    text = io.StringIO()
    out, count = csv.writer(text, lineterminator="\n"), 0
    out.writerow(names)
    for row in rows:
        out.writerow([protected(cell) if protects and isinstance(cell, str) else _text(cell) for cell in row])
        count += 1
        if count % _BLOCK == 0:
            _flush(text, file)
    _flush(text, file)
    return count


def _flush(text: io.StringIO, file: BinaryIO) -> None:
    file.write(text.getvalue().encode())
    text.seek(0)
    text.truncate()


def _write_json(file: BinaryIO, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    count, encoder = 0, msgspec.json.Encoder(decimal_format="string")
    for row in rows:
        file.write(encoder.encode(dict(zip(names, row, strict=True))) + b"\n")
        count += 1
    return count


def _write_sheet(file: BinaryIO, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    count = 0
    # Texts stay texts: none becomes a formula, a link or a number.
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(file, options) as book:
        sheet = book.add_worksheet()
        sheet.freeze_panes(1, 0)
        for at, name in enumerate(names):
            sheet.write_string(0, at, name)
        for row in rows:
            count += 1
            if count > MOST_SHEET_ROWS:
                raise TooManyRows(0, f"a worksheet has at most {MOST_SHEET_ROWS:,} rows; export CSV")
            for at, cell in enumerate(row):
                if _is_number(cell):
                    sheet.write_number(count, at, cell)
                elif cell is not None:
                    sheet.write_string(count, at, _text(cell))
    return count


def _is_number(cell: Any) -> bool:
    if isinstance(cell, bool) or not isinstance(cell, int | float | Decimal):
        return False
    return len(Decimal(str(cell)).normalize().as_tuple().digits) <= _EXACT_DIGITS


def _text(cell: Any) -> str:
    match cell:
        case None:
            return ""
        case bool():
            return "true" if cell else "false"
        case Decimal():
            return f"{cell:f}"
        case datetime():
            return cell.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case list() | tuple() | dict():
            return msgspec.json.encode(cell).decode()
    return str(cell)
