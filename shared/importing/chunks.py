"""Chunks: a CSV or JSON Lines file, cut between its rows, so that several processes can check it."""

import csv
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from shared.importing.columns import Columns, RefusedFile, count
from shared.importing.rows import SURROGATE, Reader, Row, is_full
from shared.importing.shops import OURS, Shop
from shared.importing.source import Lines
from shared.importing.workbooks import Worksheet

DELIMITERS = ",;\t|"
_SEP = "sep="
_SHEET_ROWS = 10_000
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


def chunks(lines: Lines | Worksheet, columns: Columns, shop: Shop | None = None) -> tuple[Reader, Iterator[Chunk]]:
    """The reader of a file's rows, and all rows in order, good or bad; blank lines are skipped.

    Raises:
        RefusedFile: the file is empty or binary, or its header has not the right columns.
    """
    if isinstance(lines, Worksheet):
        if shop:
            raise RefusedFile(f"it is a workbook; exports of {shop.title} are CSV")
        return _sheet(lines, columns)
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
        reader = Reader(columns.constants, theirs=columns.theirs, encoding=lines.encoding, given=columns.given())
        return reader, _cut(lines, lambda: _object(lines))
    if SURROGATE(first):
        raise RefusedFile(f"its first line is not {lines.encoding} text; --encoding names another, such as utf-16")
    if first.startswith("["):
        raise RefusedFile("it is a JSON array; JSON Lines have one object per line, without brackets around them")
    return _table(lines, columns, shop)


def _table(lines: Lines, columns: Columns, shop: Shop | None) -> tuple[Reader, Iterator[Chunk]]:
    names = shop.needs if shop else columns.theirs.values() or columns.names
    delimiter = columns.delimiter or _told(lines) or _delimiter(lines.first(), names)
    table = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)
    try:
        header = next((cells for cells in table if is_full(cells)), [])
    except csv.Error as error:
        raise RefusedFile(f"its header is not CSV: {error}") from None
    if shop:
        shop.begin(header)
        theirs = Reader({}, width=len(header), delimiter=delimiter)
        reader = _reader(OURS, columns, delimiter, lines.encoding)
        return reader, _shop_chunks(lines, lambda: _record(lines, table, theirs), shop)
    reader = _reader(header, columns, delimiter, lines.encoding)
    return reader, _cut(lines, lambda: _record(lines, table, reader), quote='"')


def _sheet(sheet: Worksheet, columns: Columns) -> tuple[Reader, Iterator[Chunk]]:
    rows = enumerate(sheet.rows(columns.decimal), 1)
    header = next((cells for _, cells in rows if is_full(cells)), [])
    reader = _reader(header, columns, "\t", "Unicode")
    return reader, _sheet_chunks(rows)


def _sheet_chunks(rows: Iterator[tuple[int, list[str]]]) -> Iterator[Chunk]:
    """Blocks of lines with tabs; rows one by one where a cell has a quote, a tab or a line end."""
    while part := list(islice(rows, _SHEET_ROWS)):
        lines = ["\t".join(cells) for _, cells in part]
        text = "\n".join(lines)
        if '"' in text or "\r" in text or text.count("\n") >= len(part) or text.count("\t") > _tabs(part):
            yield [Row(line, raw, cells) for (line, cells), raw in zip(part, lines, strict=True) if is_full(cells)]
        else:
            yield Block(part[0][0], text)


def _tabs(part: list[tuple[int, list[str]]]) -> int:
    return sum(len(cells) - 1 for _, cells in part)


def _reader(names: Sequence[str], columns: Columns, delimiter: str, encoding: str) -> Reader:
    header = [name.strip() for name in names]
    while header and not header[-1] and not columns.theirs:  # a map ignores columns, also those without a name
        header.pop()
    positions = columns.positions(header)
    return Reader(
        columns.constants,
        positions,
        len(header),
        from_spreadsheets=columns.from_spreadsheets,
        delimiter=delimiter,
        decimal=columns.decimal,
        encoding=encoding,
        given=columns.given(name for name, _ in positions),
    )


def _told(lines: Lines) -> str:
    """The delimiter of a first line `sep=;`, which spreadsheet programs write and read; that line is consumed."""
    first = lines.first().strip(' "\r\n')
    if len(first) != len(_SEP) + 1 or not first.lower().startswith(_SEP) or first[-1] not in DELIMITERS:
        return "\t" if first.lower() == _SEP and next(lines) else ""
    next(lines)
    return first[-1]


def _shop_chunks(lines: Lines, row: Callable[[], Row | None], shop: Shop) -> Iterator[Chunk]:
    while lines.ahead():
        yield [ours for theirs in _rows(lines, row) if (ours := shop.row(theirs))]


def _delimiter(first: str, names: Collection[str]) -> str:
    """The delimiter with which the header has most of these columns, or else most cells."""

    def found(delimiter: str) -> tuple[int, int]:
        header = next(csv.reader([first], delimiter=delimiter, skipinitialspace=True))
        return count(header, names), len(header)

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
