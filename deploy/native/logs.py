"""The programs' logs: their last lines, and new ones."""

import time
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path

_POLL_S = 0.3


def tail(path: Path, count: int) -> list[str]:
    """The last lines of a file; none where there is no file."""
    try:
        with path.open(errors="replace") as file:
            return [line.rstrip("\n") for line in deque(file, maxlen=count)]
    except FileNotFoundError:
        return []


def follow(paths: Mapping[str, Path]) -> Iterator[tuple[str, str]]:
    """Yield (name, line) for every line added from now on, without end, also when a log is rotated."""
    readers = {name: _Reader(path) for name, path in paths.items()}
    while True:
        for name, reader in readers.items():
            for line in reader.new_lines():
                yield name, line
        time.sleep(_POLL_S)


class _Reader:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode, self._offset = self._seen()
        self._rest = b""

    def new_lines(self) -> list[str]:
        inode, size = self._seen()
        if inode != self._inode or size < self._offset:
            self._inode, self._offset, self._rest = inode, 0, b""
        if size == self._offset:
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            text = file.read()
        self._offset += len(text)
        *lines, self._rest = (self._rest + text).split(b"\n")
        return [line.decode(errors="replace") for line in lines]

    def _seen(self) -> tuple[int, int]:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return 0, 0
        return found.st_ino, found.st_size
