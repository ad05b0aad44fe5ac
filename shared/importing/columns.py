"""Columns: which of a file's are ours, by name or by a map, and what stands in for those that it has not."""

import csv
from collections.abc import Mapping, Sequence

import msgspec

from shared.errors import translated
from shared.pricing.product import ProductInput

NAMES = ProductInput.__struct_fields__
REQUIRED = ("product_id", "name", "currency", "base_price")


class RefusedFile(Exception):
    """Nothing can be imported, for a reason that is no single row's; its text is a sentence for people."""


class Columns(msgspec.Struct, frozen=True):
    """How a file's columns become ours.

    Attributes:
        theirs: Our name → the file's. Empty: the file has our names and no others; else what is not named
            here is passed over.
        constants: Our name → the value where a row has none.
    """

    theirs: Mapping[str, str] = {}
    constants: Mapping[str, str] = {}

    def positions(self, header: Sequence[str]) -> list[tuple[str, int]]:
        """Our columns in a header, each with its place.

        Raises:
            RefusedFile: one is missing, unknown or there twice.
        """
        if not self.theirs and (unknown := [name for name in header if name not in NAMES]):
            self.check({name for name in header if name in NAMES})
            raise RefusedFile(f"unknown column {unknown[0]!r} (--map takes some and passes over others); {_OURS}")
        wanted = self.theirs or {name: name for name in NAMES if name in header}
        self.check(wanted)
        for name in wanted.values():
            if header.count(name) != 1:
                raise RefusedFile(
                    f"column {name!r} stands in the header twice"
                    if name in header
                    else f"the header has no column {name!r}, which --map names"
                )
        return [(ours, header.index(name)) for ours, name in wanted.items()]

    def check(self, known: Mapping[str, str] | set[str]) -> None:
        """Raise RefusedFile where a column that must be is neither known nor constant."""
        if missing := [name for name in REQUIRED if name not in known and name not in self.constants]:
            where = "--map names" if self.theirs else "the header has"
            raise RefusedFile(f"{where} no column {', '.join(missing)}; {_OURS}")


def parse_map(text: str) -> dict[str, str]:
    """Our name → theirs, from `product_id=index,name=title`; a name with a comma stands in quotes.

    Raises:
        ValueError: not of that form, or with a name that is not ours.
    """
    theirs: dict[str, str] = {}
    for pair in next(csv.reader([text]), []):
        ours, separator, name = pair.partition("=")
        if not separator or not name:
            raise ValueError(f"{pair!r} is not of the form ours=theirs")
        if ours not in NAMES or ours in theirs:
            raise ValueError(f"{ours!r} stands there twice" if ours in theirs else f"{ours!r} is none of ours; {_OURS}")
        theirs[ours] = name
    return theirs


def constants(*, currency: str | None, category: str | None) -> dict[str, str]:
    """What stands in where a row has none.

    Raises:
        InvalidInput: an unknown currency, or a category that no product could have.
    """
    given = {"currency": currency, "category": category}
    known = {name: value for name, value in given.items() if value is not None}
    with translated():
        msgspec.convert(
            {"product_id": "x", "name": "x", "base_price": "0", "currency": "USD"} | known,
            ProductInput,
        )
    return known


_OURS = f"columns: {', '.join(NAMES)}"
