"""Columns: maps a file's columns to ours, by name or by a map, with constants for missing ones."""

import csv
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from shared.catalogue import products
from shared.errors import translated
from shared.importing.numbers import DecimalMark
from shared.pricing.product import ProductInput
from shared.wording import meant

CONTENT = ("content_amount", "content_unit")
NAMES = (*ProductInput.__struct_fields__, *CONTENT)
# What every product has. A row for a product that exists may leave them out, but for the id.
REQUIRED = ("product_id", "name", "currency", "base_price")
# The columns of products, each with its bit in the number of the columns that a row has.
BITS = {name: 1 << at for at, name in enumerate(products.COLUMNS)}
BITS |= dict.fromkeys(CONTENT, BITS["content"])
EVERY_COLUMN = (1 << len(products.COLUMNS)) - 1
NEW_PRODUCT = sum(BITS[name] for name in REQUIRED)


class RefusedFile(Exception):
    """The whole file cannot be imported; the error's text is a sentence for people."""


class Columns(msgspec.Struct, frozen=True):
    """The form of a file: the mapping of its columns to ours, and what the caller says of its text.

    Attributes:
        theirs: Our name → the file's; other columns are ignored. Empty: the file has our names and no others.
        constants: Our name → the value for rows that have none.
        from_spreadsheets: CSV: remove the apostrophes of an export for spreadsheets.
        names: Our names: those of products unless the file has something else.
        required: Those of them that every file has.
        replaces: Whether a row replaces its product as a whole; else columns that the file has not leave their values.
        encoding: The text's encoding; None: by the first bytes.
        delimiter: CSV: the character between two cells; None: by the header.
        decimal: CSV: the decimal mark; None: decided number by number.
    """

    theirs: Mapping[str, str] = {}
    constants: Mapping[str, str] = {}
    from_spreadsheets: bool = False
    names: Sequence[str] = NAMES
    required: Sequence[str] = ("product_id",)
    replaces: bool = False
    encoding: str | None = None
    delimiter: str | None = None
    decimal: DecimalMark | None = None

    def positions(self, header: Sequence[str]) -> list[tuple[str, int]]:
        """Our columns in a header, each with its position; case and blanks in its names do not matter.

        Raises:
            RefusedFile: a column is missing, unknown or occurs twice.
        """
        if not self.theirs:
            self._check_names(header)
        wanted = self.theirs or {name: name for name in self.names if _places(header, name)}
        self.check(wanted)
        found = [(ours, name, _places(header, name)) for ours, name in wanted.items()]
        for _, name, places in found:
            if len(places) != 1:
                raise RefusedFile(
                    f"the header has column {name!r} twice"
                    if places
                    else f"the header has no column {name!r}, which --map names; it has {', '.join(header)}"
                )
        return [(ours, places[0]) for ours, _, places in found]

    def given(self, names: Iterable[str] = ()) -> int:
        """The columns that every row has, where the file has these, as `rows.Read.given`."""
        return EVERY_COLUMN if self.replaces else bits((*names, *self.constants))

    def _check_names(self, header: Sequence[str]) -> None:
        for at, name in enumerate(header, 1):
            if _key(name) in self.names:
                continue
            self.check({_key(name) for name in header})
            if not name:
                raise RefusedFile(f"column {at} has no name in the header; {_ours(self.names)}")
            hint = "--map selects columns and ignores the others"
            raise RefusedFile(f"unknown column {name!r}{meant(_key(name), self.names)} ({hint}); {_ours(self.names)}")

    def check(self, known: Mapping[str, str] | set[str]) -> None:
        """Raise RefusedFile where a required column is neither known nor constant."""
        required = REQUIRED if self.replaces else self.required
        if missing := [name for name in required if name not in known and name not in self.constants]:
            where = "--map names" if self.theirs else "the header has"
            hint = "" if self.theirs else f"; --map {missing[0]}=THEIRS,… names the file's columns"
            raise RefusedFile(f"{where} no column {', '.join(missing)}{hint}; {_ours(self.names)}")


def parse_map(text: str, names: Sequence[str] = NAMES) -> dict[str, str]:
    """Our name (one of `names`) → theirs, from `product_id=index,name=title`; a name with a comma is quoted.

    Raises:
        ValueError: the text has another form, or a name that is not ours.
    """
    try:
        pairs = next(csv.reader([text]), [])
    except csv.Error:
        raise ValueError("the map must be one line, such as product_id=index,name=title") from None
    theirs: dict[str, str] = {}
    for pair in pairs:
        ours, separator, name = pair.partition("=")
        if not separator or not name:
            raise ValueError(f"{pair!r} is not of the form ours=theirs")
        if ours not in names or ours in theirs:
            raise ValueError(
                f"{ours!r} occurs twice"
                if ours in theirs
                else f"unknown column {ours!r}{meant(ours, names)}; {_ours(names)}"
            )
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


def bits(names: Iterable[str]) -> int:
    """The sum of the bits of columns; other names have none."""
    found = 0
    for name in names:
        found |= BITS.get(name, 0)
    return found


def count(header: Sequence[str], names: Collection[str]) -> int:
    """The number of these columns in a header."""
    return sum(bool(_places(header, name)) for name in names)


def _places(header: Sequence[str], name: str) -> list[int]:
    """The positions of a column: of the same name, else of one that differs in case and blanks alone."""
    exact = [at for at, found in enumerate(header) if found == name]
    alike = [at for at, found in enumerate(header) if _key(found) == _key(name)]
    return exact if exact and name != _key(name) else alike


def _key(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip()).casefold()


def _ours(names: Sequence[str]) -> str:
    return f"columns: {', '.join(names)}"
