"""Chunks: a CSV or JSON Lines file, cut between its rows, so that several processes can check it."""

import csv
from collections.abc import Callable, Iterator
from typing import NamedTuple

from shared.importing.columns import Columns, RefusedFile
from shared.importing.rows import SURROGATE, Reader, Row, is_full
from shared.importing.source import Lines

DELIMITERS = ",;\t|"
_SEP = "sep="
_NUMBERS = ("base_price", "amount")
_TEXTS = ("product_id", "name", "category", "brand")


class Block(NamedTuple):
    """Whole lines; each is a row or blank.

    Attributes:
        line: The number of the first line, from 1.
        text: The lines with their ends, LF or CR LF.
    """

    line: int
    text: str


Chunk = Block | list[Row]


def chunks(lines: Lines, columns: Columns) -> tuple[Reader, Iterator[Chunk]]:
    """The reader of a file's rows, and all rows in order, good or bad; blank lines are skipped.

    Raises:
        RefusedFile: the file is empty or binary, or its header has not the right columns.
    """
    first = lines.first().lstrip()
    if not first:
        raise RefusedFile("it is empty")
    if "\0" in first:
        raise RefusedFile("it is binary, neither CSV nor JSON Lines")
    if first.startswith("{"):
        if columns.from_spreadsheets:
            raise RefusedFile("it is JSON Lines; --from-spreadsheets is for CSV")
        if columns.theirs:
            columns.check(columns.theirs)
        reader = Reader(columns.constants, theirs=columns.theirs, encoding=lines.encoding)
        return reader, _cut(lines, lambda: _object(lines))
    if SURROGATE(first):
        raise RefusedFile(f"its first line is not {lines.encoding} text; --encoding names another, such as utf-16")
    if first.startswith("["):
        raise RefusedFile("it is a JSON array; JSON Lines have one object per line, without brackets around them")
    return _table(lines, columns)


def _table(lines: Lines, columns: Columns) -> tuple[Reader, Iterator[Chunk]]:
    delimiter = columns.delimiter or _told(lines) or _delimiter(lines.first(), columns)
    table = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)
    try:
        header = [name.strip() for name in next((cells for cells in table if is_full(cells)), [])]
    except csv.Error as error:
        raise RefusedFile(f"its header is not CSV: {error}") from None
    while header and not header[-1] and not columns.theirs:  # a map ignores columns, also those without a name
        header.pop()
    reader = Reader(
        columns.constants,
        columns.positions(header),
        len(header),
        from_spreadsheets=columns.from_spreadsheets,
        delimiter=delimiter,
        decimal=columns.decimal,
        encoding=lines.encoding,
    )
    return reader, _cut(lines, lambda: _record(lines, table, reader), quote='"')


def _told(lines: Lines) -> str:
    """The delimiter of a first line `sep=;`, which spreadsheet programs write and read; that line is consumed."""
    first = lines.first().strip(' "\r\n')
    if len(first) != len(_SEP) + 1 or not first.lower().startswith(_SEP):
        return "\t" if first.lower() == _SEP and next(lines) else ""
    next(lines)
    return first[-1]


def _delimiter(first: str, columns: Columns) -> str:
    """The delimiter with which the header has most of our columns, or else most cells."""

    def found(delimiter: str) -> tuple[int, int]:
        header = next(csv.reader([first], delimiter=delimiter, skipinitialspace=True))
        return columns.count(header), len(header)

    return max(DELIMITERS, key=found)


def _cut(lines: Lines, row: Callable[[], Row | None], quote: str = "") -> Iterator[Chunk]:
    """Blocks; rows one by one where a line end may be within a row, or is a lone CR."""
    while text := lines.ahead():
        if (quote and quote in text) or text.count("\r") != text.count("\r\n"):
            yield list(_rows(lines, row))
        else:
            yield Block(lines.number + 1, text)
            lines.skip()


def _rows(lines: Lines, row: Callable[[], Row | None]) -> Iterator[Row]:
    while lines.is_ahead:
        lines.begin()
        if found := row():
            yield found


def _object(lines: Lines) -> Row | None:
    raw = next(lines).rstrip("\r\n")
    return None if not raw or raw.isspace() else Row(lines.number, raw, None)


def _record(lines: Lines, table: Iterator[list[str]], reader: Reader) -> Row | None:
    """The next row; a quote that swallows further rows makes its own line a bad row, and no other."""
    try:
        cells: list[str] | str = next(table)
    except csv.Error as error:
        cells = str(error)
    if lines.number > lines.start and _has_stray_quote(cells, reader):
        cells = (
            f"a quote that opens in line {lines.start} is not closed there, and takes in the text up to line "
            f'{lines.number}; within quotes a quote is written twice: "17"" screen"'
        )
        lines.give_back()
    elif isinstance(cells, str) and "expected after" in cells:
        cells = 'text follows a closing quote; within quotes a quote is written twice: "17"" screen"'
    return Row(lines.start, lines.raw(), cells) if isinstance(cells, str) or is_full(cells) else None


def _has_stray_quote(cells: list[str] | str, reader: Reader) -> bool:
    """Whether a row of several lines is one by mistake: it is no CSV, has other columns, or a cell is made of rows."""
    if isinstance(cells, str) or len(cells) < reader.width or is_full(cells[reader.width :]):
        return True
    return any(_has_rows(cells[at], at, reader) for name, at in reader.positions if name in _TEXTS)


def _has_rows(cell: str, at: int, reader: Reader) -> bool:
    """Whether a cell holds the rest of its row, then whole rows, then the begin of the row that goes on behind it."""
    first, *others = (line.split(reader.delimiter) for line in cell.splitlines() or [""])
    lengths = [len(line) for line in others]
    if not others or len(first) != reader.width - at or lengths != [reader.width] * (len(others) - 1) + [at + 1]:
        return False
    numbers = [first[place - at] for name, place in reader.positions if name in _NUMBERS and place > at]
    numbers += [others[-1][place] for name, place in reader.positions if name in _NUMBERS and place < at]
    return is_full(numbers) and all(text.strip(" ,.'0123456789") == "" for text in numbers)
