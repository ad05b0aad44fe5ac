"""Sources: a file or standard input, plain or gzip, as text lines numbered as in an editor."""

import gzip
import io
import os
import stat
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from shared.importing import encodings
from shared.importing.columns import RefusedFile
from shared.importing.encodings import Encoding
from shared.importing.workbooks import BEGINS, Worksheet

STDIN = Path("-")
MAX_LINE = 1 << 20
BLOCK = 1 << 19
_GZIP = b"\x1f\x8b"
_CHUNK_BYTES = 1 << 16


class Lines:
    """The lines of a text, with their ends. Bytes that are not text in the encoding become lone surrogates.

    Attributes:
        encoding: The encoding, for people.
        number: The number of the last line read, from 1.
        start: The number of the first line since `begin`.
    """

    def __init__(self, text: io.TextIOBase, encoding: str = "UTF-8") -> None:
        self._text, self._taken, self.encoding = text, list[str](), encoding
        self.number = self.start = 0
        self._hold("")

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._held.readline() or self._read()
        if not line:
            raise StopIteration
        self.number += 1
        self._taken.append(line)
        return line

    def first(self) -> str:
        """The first line that is not blank, without consuming it; empty where there is none."""
        while (line := self._held.readline() or self._read()) and not line.strip():
            self.number += 1
        self._hold(line)
        return line

    def ahead(self) -> str:
        """The next whole lines, about half a megabyte, without consuming them; empty at the end."""
        text = self._held.read() + self._guarded(self._text.read, BLOCK)
        text += self._read(before=_line_ends(text))
        self._hold(text)
        return text

    def skip(self) -> None:
        """Consume the rest of the lines that `ahead` returned."""
        text = self._held.read()
        self.number += _line_ends(text) + (not text.endswith(("\n", "\r")))

    @property
    def is_ahead(self) -> bool:
        """Whether lines that `ahead` returned are not consumed yet."""
        return self._held.tell() < self._held_length

    def begin(self) -> None:
        """Start a row with the next line."""
        self.start = self.number + 1
        self._taken.clear()

    def give_back(self) -> None:
        """Return all lines since `begin` but the first one: they are read again."""
        self._hold("".join(self._taken[1:]) + self._held.read())
        del self._taken[1:]
        self.number = self.start

    def raw(self) -> str:
        """The row's lines as in the file, without the last line end."""
        return "".join(self._taken).rstrip("\r\n")

    def _hold(self, text: str) -> None:
        self._held, self._held_length = io.StringIO(text, newline=""), len(text)

    def _read(self, before: int = 0) -> str:
        line = self._guarded(self._text.readline, MAX_LINE)
        if len(line) == MAX_LINE and not line.endswith(("\n", "\r")):
            raise RefusedFile(
                f"line {self.number + before + 1} has more than {MAX_LINE:,} characters: neither CSV nor JSON Lines"
            )
        return line

    def _guarded(self, read: Callable[[int], str], size: int) -> str:
        try:
            return read(size)
        except UnicodeDecodeError:
            raise RefusedFile(f"it is not {self.encoding} text; --encoding names another encoding") from None
        except (EOFError, gzip.BadGzipFile, zlib.error):
            raise RefusedFile("the gzip file is cut short or damaged") from None
        except OSError as error:
            raise RefusedFile(f"it cannot be read: {error.strerror or error}") from None


class Source:
    """An opened file, or standard input.

    Attributes:
        size: The stored size in bytes; None where it is unknown.
        lines: The uncompressed text, or the rows of a workbook.
        guess: A sentence where the encoding or the worksheet is a guess; else empty.
    """

    def __init__(self, raw: BinaryIO, advance: Callable[[int], None], encoding: str | None) -> None:
        self._fileno = raw.fileno()
        self._before = self._stat()
        self.size = self._before and self._before[0]
        self.lines: Lines | Worksheet
        unpacked = _unpacked(io.BufferedReader(_Counted(raw, advance), _CHUNK_BYTES))
        if _head(unpacked).startswith(BEGINS):
            self.lines = Worksheet(unpacked)
            self.guess = self.lines.guess
            return
        found = Encoding(encoding, encoding) if encoding else encodings.found(_head(unpacked))
        text = io.TextIOWrapper(unpacked, encoding=found.name, errors="surrogateescape", newline="")
        self.lines, self.guess = Lines(text, found.shown), found.guess

    def check_unchanged(self) -> None:
        """Raise RefusedFile where the file was changed after it was opened."""
        if self._stat() != self._before:
            raise RefusedFile("another process is still writing to it")

    def _stat(self) -> tuple[int, int] | None:
        status = os.fstat(self._fileno)
        return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


@contextmanager
def opened(
    path: Path, advance: Callable[[int], None] = lambda _: None, encoding: str | None = None
) -> Iterator[Source]:
    """Open a source; `-` is standard input.

    Args:
        path: The source's path.
        advance: Called with the number of bytes after each read.
        encoding: The text's encoding, as Python names it; None: by its first bytes.

    Raises:
        RefusedFile: the source cannot be opened or, later, read.
    """
    if path == STDIN:
        yield Source(sys.stdin.buffer, advance, encoding)
        return
    try:
        raw = path.open("rb")
    except OSError as error:
        raise RefusedFile(error.strerror or str(error)) from None
    with raw:
        yield Source(raw, advance, encoding)


class _Counted(io.RawIOBase):
    """Fills the whole buffer, also from a pipe, so that a peek returns all requested bytes; reports their number."""

    def __init__(self, raw: BinaryIO, advance: Callable[[int], None]) -> None:
        self._raw, self._advance = raw, advance

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # BufferedReader passes a memoryview
        data = self._raw.read(len(buffer))
        buffer[: len(data)] = data
        self._advance(len(data))
        return len(data)


def _unpacked(buffered: io.BufferedReader) -> io.BufferedReader:
    is_packed = buffered.peek(len(_GZIP)).startswith(_GZIP)
    return io.BufferedReader(gzip.GzipFile(fileobj=buffered), _CHUNK_BYTES) if is_packed else buffered


def _head(buffered: io.BufferedReader) -> bytes:
    try:
        return buffered.peek()
    except (EOFError, OSError, zlib.error):
        return b""  # the first read of a line raises it again, with a sentence


def _line_ends(text: str) -> int:
    return text.count("\n") + text.count("\r") - text.count("\r\n")
