"""Columns: maps a file's columns to ours, by name or by a map, with constants for missing ones."""

import csv
from collections.abc import Mapping, Sequence

import msgspec

from shared.errors import translated
from shared.pricing.product import ProductInput

CONTENT = ("content_amount", "content_unit")
NAMES = (*ProductInput.__struct_fields__, *CONTENT)
REQUIRED = ("product_id", "name", "currency", "base_price")


class RefusedFile(Exception):
    """The whole file cannot be imported; the error's text is a sentence for people."""


class Columns(msgspec.Struct, frozen=True):
    """The mapping of a file's columns to ours.

    Attributes:
        theirs: Our name → the file's; other columns are ignored. Empty: the file has our names and no others.
        constants: Our name → the value for rows that have none.
        from_spreadsheets: CSV: remove the apostrophes of an export for spreadsheets.
        names: Our names: those of products unless the file has something else.
        required: Those of them that every file has.
    """

    theirs: Mapping[str, str] = {}
    constants: Mapping[str, str] = {}
    from_spreadsheets: bool = False
    names: Sequence[str] = NAMES
    required: Sequence[str] = REQUIRED

    def positions(self, header: Sequence[str]) -> list[tuple[str, int]]:
        """Our columns in a header, each with its position.

        Raises:
            RefusedFile: a column is missing, unknown or occurs twice.
        """
        if not self.theirs and (unknown := [name for name in header if name not in self.names]):
            self.check({name for name in header if name in self.names})
            raise RefusedFile(
                f"unknown column {unknown[0]!r} (--map selects columns and ignores the others); {_ours(self.names)}"
            )
        wanted = self.theirs or {name: name for name in self.names if name in header}
        self.check(wanted)
        for name in wanted.values():
            if header.count(name) != 1:
                raise RefusedFile(
                    f"the header has column {name!r} twice"
                    if name in header
                    else f"the header has no column {name!r}, which --map names"
                )
        return [(ours, header.index(name)) for ours, name in wanted.items()]

    def check(self, known: Mapping[str, str] | set[str]) -> None:
        """Raise RefusedFile where a required column is neither known nor constant."""
        if missing := [name for name in self.required if name not in known and name not in self.constants]:
            where = "--map names" if self.theirs else "the header has"
            raise RefusedFile(f"{where} no column {', '.join(missing)}; {_ours(self.names)}")


def parse_map(text: str, names: Sequence[str] = NAMES) -> dict[str, str]:
    """Our name (one of `names`) → theirs, from `product_id=index,name=title`; a name with a comma is quoted.

    Raises:
        ValueError: the text has another form, or a name that is not ours.
    """
    theirs: dict[str, str] = {}
    for pair in next(csv.reader([text]), []):
        ours, separator, name = pair.partition("=")
        if not separator or not name:
            raise ValueError(f"{pair!r} is not of the form ours=theirs")
        if ours not in names or ours in theirs:
            raise ValueError(f"{ours!r} occurs twice" if ours in theirs else f"unknown column {ours!r}; {_ours(names)}")
        theirs[ours] = name
    return theirs


def constants(*, currency: str | None, category: str | None) -> dict[str, str]:
    """The values for rows that have none.

    Raises:
        InvalidInput: the currency is unknown, or the category is not valid.
    """
    given = {"currency": currency, "category": category}
    known = {name: value for name, value in given.items() if value is not None}
    with translated():
        msgspec.convert(
            {"product_id": "x", "name": "x", "base_price": "0", "currency": "USD"} | known,
            ProductInput,
        )
    return known


def _ours(names: Sequence[str]) -> str:
    return f"columns: {', '.join(names)}"
