"""JSON documents in files, or on standard input: `-`; and files that commands write."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

import click
import msgspec

from shared.commands.terminal import BROKEN_PIPE, failure
from shared.errors import InvalidInput, translated
from shared.importing import outputs
from shared.pricing import rulebook_check
from shared.pricing.rulebook_check import RulebookRefused
from shared.wire import amounts
from shared.wording import worded

T = TypeVar("T")

FILE = click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True)


def read(file: Path, kind: type[T], list_of: str | None = None) -> T:
    """The document in a file.

    Args:
        file: The file.
        kind: What it is.
        list_of: The field of `kind` that a list in the file stands for; None: a list is refused.

    Raises:
        ClickException: it is none of this kind; the text names the first wrong field.
    """
    try:
        if not (text := content(file)).strip():
            raise InvalidInput("it is empty; a JSON document is expected")
        with translated():
            document = msgspec.json.Decoder(float_hook=amounts.exact).decode(text)
            if list_of is not None and isinstance(document, list):
                document = {list_of: document}
            found = rulebook_check.converted(document, kind)
            amounts.check(found, document)
    except RulebookRefused as error:
        raise failure(f"{file}: $.{error.path}: {worded(error.reason)}") from None
    except InvalidInput as error:
        raise failure(f"{file}: {error}") from None
    return found


def content(file: Path) -> bytes:
    """The bytes of a file."""
    with click.open_file(str(file), "rb") as opened:
        found: bytes = opened.read()
    return found


@contextmanager
def writing(file: Path) -> Iterator[None]:
    """Translate the errors of a file that is written within the block; `-`: its reader may end early.

    Raises:
        ClickException: the file cannot be written.
    """
    try:
        yield
    except BrokenPipeError:
        # The reader ended early: `just export | head`. At its exit Python would report an error of standard output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(BROKEN_PIPE)
    except OSError as error:
        raise failure(f"{file}: {error.strerror or error}") from None


@contextmanager
def written(file: Path) -> Iterator[BinaryIO]:
    """A file to write, as `just export` does: it appears only when it is complete."""
    with writing(file), outputs.exported(file) as opened:
        yield opened
