"""Workbooks: the rows of a worksheet in an XLSX, XLS or ODS file, as texts."""

import io
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import BinaryIO

import python_calamine as calamine

from shared.importing.columns import RefusedFile
from shared.importing.numbers import DecimalMark

BEGINS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # of a ZIP archive, as XLSX and ODS are, and of XLS
MOST_BYTES = 1 << 28

Cell = float | str | bool | date | time | datetime | timedelta


class Worksheet:
    """The first visible worksheet with rows. It is read as a whole.

    Attributes:
        guess: A sentence where other worksheets have rows, too; else empty.
    """

    def __init__(self, file: BinaryIO) -> None:
        """Read a workbook.

        Raises:
            RefusedFile: it is no workbook, has a password or no rows, or is too large.
        """
        data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise RefusedFile(f"it is a workbook of more than {MOST_BYTES:,} bytes; save it as CSV")
        try:
            book = calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
            names = [one.name for one in book.sheets_metadata if one.visible == calamine.SheetVisibleEnum.Visible]
            sheets = [sheet for sheet in map(book.get_sheet_by_name, names) if sheet.height]
        except calamine.PasswordError:
            raise RefusedFile("it is a workbook with a password; save it without one") from None
        except calamine.CalamineError as error:
            raise RefusedFile(f"it is binary, and cannot be read as a workbook: {error}") from None
        if not sheets:
            raise RefusedFile("it is a workbook without rows")
        self._sheet = sheets[0]
        self.guess = (
            f"worksheet {self._sheet.name!r} is read, and {len(sheets) - 1} more are not: a file has one worksheet"
            if len(sheets) > 1
            else ""
        )

    def rows(self, decimal: DecimalMark | None) -> Iterator[list[str]]:
        """The rows from the first one on, empty ones included; numbers are written with a decimal mark."""
        for cells in self._sheet.iter_rows():
            yield [_text(cell, decimal) for cell in cells]


def _text(cell: Cell, decimal: DecimalMark | None) -> str:
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, int | float):
        return _number(cell, decimal)
    return str(cell) if isinstance(cell, timedelta) else cell.isoformat()


def _number(cell: float, decimal: DecimalMark | None) -> str:
    """A number with the 15 digits that spreadsheet programs show; a whole one without a mark."""
    text = f"{Decimal(format(cell, '.15g')):f}"
    if decimal == "comma":
        return text.replace(".", ",")
    # Three decimals could be grouping in a text; four cannot.
    return f"{text}0" if decimal is None and text[-4:-3] == "." else text
