"""Chunks: a CSV or JSON Lines file, cut between its rows, so that several processes can check it."""

import csv
from collections.abc import Callable, Iterator
from typing import NamedTuple

from shared.importing.columns import Columns, RefusedFile
from shared.importing.rows import SURROGATE, Reader, Row
from shared.importing.source import Lines


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
        raise RefusedFile("it is binary, neither CSV nor JSON Lines in UTF-8")
    if first.startswith("{"):
        if columns.from_spreadsheets:
            raise RefusedFile("it is JSON Lines; --from-spreadsheets is for CSV")
        if columns.theirs:
            columns.check(columns.theirs)
        return Reader(columns.constants, theirs=columns.theirs), _cut(lines, lambda: _object(lines))
    if SURROGATE(first):
        raise RefusedFile("its first line is not UTF-8 text")
    if first.startswith("["):
        raise RefusedFile("it is a JSON array; JSON Lines have one object per line, without brackets around them")
    return _table(lines, columns)


def _table(lines: Lines, columns: Columns) -> tuple[Reader, Iterator[Chunk]]:
    table = csv.reader(lines, strict=True)
    try:
        header = next(table)
    except csv.Error as error:
        raise RefusedFile(f"its header is not CSV: {error}") from None
    reader = Reader(
        columns.constants, columns.positions(header), len(header), from_spreadsheets=columns.from_spreadsheets
    )
    return reader, _cut(lines, lambda: _record(lines, table), quote='"')


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


def _record(lines: Lines, table: Iterator[list[str]]) -> Row | None:
    try:
        cells: list[str] | str = next(table)
    except csv.Error as error:
        cells = str(error)
    return Row(lines.start, lines.raw(), cells) if cells else None
