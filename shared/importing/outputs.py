"""Output files: never renamed over a device or a FIFO, never written through another user's symbolic link."""

import gzip
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

STDOUT = Path("-")


class ForeignFile(Exception):
    """The file exists and must not be replaced; the text has the reason."""


@contextmanager
def exported(path: Path) -> Iterator[BinaryIO]:
    """Open the file of an export; `-` is standard output, a name that ends in `.gz` is compressed.

    A regular file appears, or is replaced, only when it is complete. A symbolic link stays, and its target is
    replaced. A FIFO or a device is written to.

    Raises:
        OSError: the file cannot be written.
    """
    with _target(path) as file:
        if path.name.endswith(".gz"):
            with gzip.GzipFile(path.name.removesuffix(".gz"), "wb", fileobj=file) as packed:
                yield cast(BinaryIO, packed)
        else:
            yield file


@contextmanager
def _target(path: Path) -> Iterator[BinaryIO]:
    if path == STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    elif _is_replaceable(path):
        with _replaced(path.resolve()) as file:
            yield file
    else:
        with path.open("wb") as file:
            yield file


def _is_replaceable(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return True


@contextmanager
def _replaced(path: Path) -> Iterator[BinaryIO]:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def rejected(path: Path, header: bytes) -> BinaryIO:
    """Open the file of bad rows: a new file, or an emptied one that started with the same header.

    A FIFO or a device is written to.

    Raises:
        ForeignFile: the path is a symbolic link, or a file with other content.
        OSError: the file cannot be written.
    """
    try:
        # In a folder that other users may write to, a link could lead to another file.
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb")
    except FileExistsError:
        mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        raise ForeignFile("it is a symbolic link")
    if not stat.S_ISREG(mode):
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_NOFOLLOW), "wb")
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK), "r+b")
    if file.read(len(header)) not in (b"", header):
        file.close()
        raise ForeignFile("it exists, and is not a rejects file")
    file.seek(0)
    file.truncate()
    return file
