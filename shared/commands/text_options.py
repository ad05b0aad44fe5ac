"""The options of commands that read a file: how its text is written."""

import codecs
from collections.abc import Callable
from typing import Any, TypeVar

import click

from shared.importing.chunks import DELIMITERS

F = TypeVar("F", bound=Callable[..., Any])


def text_options(command: F) -> F:
    """Add the options `encoding`, `delimiter` and `decimal`, which `Columns` takes by these names."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def _encoding(_: click.Context, __: click.Parameter, name: str | None) -> str | None:
    try:
        if name is not None:
            # Codecs that are not of text, such as base64, have no such decoder.
            "".encode(name).decode(name)
            return codecs.lookup(name).name
    except LookupError:
        raise click.BadParameter(f"unknown encoding {name!r}; known are utf-8, utf-16, windows-1252, …") from None
    return None


def _delimiter(_: click.Context, __: click.Parameter, text: str | None) -> str | None:
    if text is None:
        return None
    delimiter = {"tab": "\t", r"\t": "\t"}.get(text, text)
    if len(delimiter) != 1 or delimiter not in DELIMITERS:
        raise click.BadParameter(f"{text!r} is not one of , ; | tab")
    return delimiter


_OPTIONS = (
    click.option(
        "--encoding", callback=_encoding, help="The text's encoding, such as windows-1252. Default: by its first bytes."
    ),
    click.option(
        "--delimiter", callback=_delimiter, help="CSV: the character between cells, or tab. Default: by the header."
    ),
    click.option(
        "--decimal",
        type=click.Choice(["comma", "point"]),
        help="CSV: the decimal mark. Default: by each number, where it can be only one.",
    ),
)
