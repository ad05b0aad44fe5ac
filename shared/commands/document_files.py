"""JSON documents in files, or on standard input: `-`."""

from pathlib import Path
from typing import TypeVar

import click
import msgspec

from shared.commands.terminal import failure
from shared.errors import InvalidInput, translated
from shared.pricing import rulebook_check
from shared.pricing.rulebook_check import RulebookRefused
from shared.wire import amounts

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
        with translated():
            document = msgspec.json.Decoder(float_hook=amounts.exact).decode(content(file))
            if list_of is not None and isinstance(document, list):
                document = {list_of: document}
            found = rulebook_check.converted(document, kind)
            amounts.check(found, document)
    except RulebookRefused as error:
        raise failure(f"{file}: $.{error.path}: {error.reason}") from None
    except InvalidInput as error:
        raise failure(f"{file}: {error}") from None
    return found


def content(file: Path) -> bytes:
    """The bytes of a file."""
    with click.open_file(str(file), "rb") as opened:
        found: bytes = opened.read()
    return found
