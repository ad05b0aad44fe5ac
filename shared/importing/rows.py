"""Rows: lines of CSV or JSON objects; each becomes a product or an error."""

import csv
import re
from collections.abc import Mapping, Sequence, Set
from typing import Any, NamedTuple

import msgspec

from shared.errors import InvalidInput, translated
from shared.importing import numbers
from shared.importing.columns import BITS, CONTENT, EVERY_COLUMN, REQUIRED, bits
from shared.importing.numbers import DecimalMark
from shared.importing.spreadsheets import unprotected
from shared.pricing.currencies import EXPONENTS
from shared.pricing.product import ProductInput
from shared.wire import amounts
from shared.wire.choices import choices_shown

AMOUNTS = ("base_price", "cost", "min_price", "max_price", "map_price", "rrp")
QUANTITIES = ("quantity_step", CONTENT[0])


class Row(NamedTuple):
    """One row as in the file; bytes that are not UTF-8 are lone surrogates.

    Attributes:
        line: The physical line where the row starts, from 1.
        cells: The cells of a CSV row, or the error of the CSV reader; None: the row is a JSON object.
    """

    line: int
    raw: str
    cells: list[str] | str | None


class Read(NamedTuple):
    """A product as its row has it.

    Attributes:
        product: Fields that the row leaves out have their defaults; a name, currency or price has a placeholder.
        given: The sum of the `columns.BITS` of the columns that the row has, be they empty.
    """

    product: ProductInput
    given: int


class Reader(msgspec.Struct, frozen=True):
    """Turns rows into products; can be sent to another process.

    Attributes:
        constants: Our name → the value for rows that have none.
        positions: CSV: our columns, each with its position.
        width: CSV: the number of columns that a row must have.
        theirs: JSON: our name → the file's; empty: the file has our names.
        from_spreadsheets: CSV: remove the apostrophes of an export for spreadsheets.
        delimiter: CSV: the character between two cells.
        decimal: CSV: the decimal mark; None: decided number by number.
        encoding: The text's encoding, for messages.
        given: The columns that every row has, as `Read.given`.
    """

    constants: Mapping[str, str]
    positions: list[tuple[str, int]] = []
    width: int = 0
    theirs: Mapping[str, str] = {}
    from_spreadsheets: bool = False
    delimiter: str = ","
    decimal: DecimalMark | None = None
    encoding: str = "UTF-8"
    given: int = EVERY_COLUMN

    @property
    def is_table(self) -> bool:
        """Whether the rows are CSV."""
        return self.width > 0

    def row(self, line: int, raw: str) -> Row:
        """The row in one line, given without its end; a CSV line must have no quotes."""
        return Row(line, raw, self._cells(raw) if self.is_table else None)

    @property
    def blank(self) -> str:
        """The characters of a line without values."""
        return f'{self.delimiter}" \t'

    def product(self, row: Row) -> ProductInput:
        """The product in a row, as `read` has it."""
        return self.read(row).product

    def read(self, row: Row, without: Set[str] = frozenset()) -> Read:
        """The product in a row, with the columns that the row has.

        Args:
            row: The row.
            without: Columns that are left out, required ones too, to find the faults of the others.

        Raises:
            InvalidInput: the row has no valid product; the path names the column, or is `$`.
        """
        if row.cells is None:
            found = self._object(row.raw)
            values, given = self._present(found), self.given | bits(found)
        else:
            values, given = self.values(row), self.given
        for name in without:
            values.pop(name, None)
        if row.cells is not None:
            self._from_text(values)
        if "product_id" in without:
            values["product_id"] = "x"
        for name, value in _PLACEHOLDERS.items():
            if name in without or not given & BITS[name]:
                values[name] = value
        return Read(_product(values), given)

    def values(self, row: Row) -> dict[str, Any]:
        """The values in a row by our names, without empty ones; those of a CSV row are texts.

        Raises:
            InvalidInput: the row has another form than the file.
        """
        if row.cells is None:
            return self._present(self._object(row.raw))
        self._check_encoding(row.raw)
        return self._record(row.cells)

    def _check_encoding(self, raw: str) -> None:
        if not raw.isascii() and SURROGATE(raw):
            raise InvalidInput(f"not {self.encoding}")

    def _record(self, cells: list[str] | str) -> dict[str, Any]:
        if isinstance(cells, str):
            raise InvalidInput(f"not CSV: {cells}")
        if len(cells) < self.width or is_full(cells[self.width :]):
            raise InvalidInput(f"{len(cells)} columns, not {self.width} as in the header")
        if self.from_spreadsheets:
            cells = list(map(unprotected, cells))
        values: dict[str, Any] = {name: text for name, at in self.positions if (text := cells[at].strip())}
        return in_our_case({**self.constants, **values})

    def _object(self, raw: str) -> dict[str, Any]:
        self._check_encoding(raw)
        with translated():
            found = _OBJECT.decode(raw)
        if self.theirs:
            found = {ours: found[name] for ours, name in self.theirs.items() if name in found}
        # In many files an id is a number.
        if type(found.get("product_id")) is int:
            found["product_id"] = str(found["product_id"])
        return found

    def _present(self, found: dict[str, Any]) -> dict[str, Any]:
        present = {name: value for name, value in found.items() if value is not None and value != ""}
        return in_our_case({**self.constants, **present})

    def _cells(self, raw: str) -> list[str] | str:
        try:
            return next(csv.reader([raw], delimiter=self.delimiter, strict=True, skipinitialspace=True))
        except csv.Error as error:
            return str(error)

    def _from_text(self, values: dict[str, Any]) -> None:
        """Bring the values of a CSV row, in place, to the types of a JSON object; amounts stay texts."""
        for name in ("stock", "price_decimals"):
            if name in values:
                values[name] = self.whole(name, values[name])
        places = max(EXPONENTS.get(values.get("currency", ""), 2), values.get("price_decimals", 0))
        for name in (*AMOUNTS, *QUANTITIES):
            if name in values:
                values[name] = self.number(name, values[name], places if name in AMOUNTS else 6)
        if "tags" in values and not values["tags"].startswith("["):
            values["tags"] = [tag for tag in map(str.strip, values["tags"].split("|")) if tag]
        for name, decoder, form in _JSON:
            if isinstance(values.get(name), str):
                try:
                    values[name] = decoder.decode(values[name])
                except (msgspec.DecodeError, RecursionError) as error:
                    raise InvalidInput(f"must be a JSON {form}: {error}", f"$.{name}") from None

    def number(self, name: str, text: str, places: int) -> str:
        """A number of a CSV cell as plain text: `numbers.plain`.

        Raises:
            InvalidInput: it is none; the path names the column.
        """
        try:
            return numbers.plain(text, self.decimal, places)
        except ValueError as error:
            raise InvalidInput(str(error), f"$.{name}") from None

    def whole(self, name: str, text: str) -> int:
        """A whole number of a CSV cell.

        Raises:
            InvalidInput: it is none; the path names the column.
        """
        try:
            return numbers.whole(text, self.decimal)
        except ValueError as error:
            raise InvalidInput(str(error), f"$.{name}") from None


def is_full(cells: Sequence[str]) -> bool:
    """Whether a cell has more than blanks."""
    return any(map(str.strip, cells))


def in_our_case(values: dict[str, Any]) -> dict[str, Any]:
    """Bring codes to the case in which we have them, in place."""
    for name, change in _CASES:
        if isinstance(code := values.get(name), str):
            values[name] = change(code)
    return values


def _product(values: dict[str, Any]) -> ProductInput:
    for name in (*AMOUNTS, *QUANTITIES):
        if name in values:
            _check_amount(name, values[name])
    given = {name.removeprefix("content_"): values.pop(name) for name in CONTENT if name in values}
    if given:
        values["content"] = given
    if isinstance(content := values.get("content"), dict):
        _check_amount("content.amount", content.get("amount"))
    tiers = values.get("tiers")
    for at, tier in enumerate(tiers if isinstance(tiers, list) else ()):
        if isinstance(tier, dict):
            _check_amount(f"tiers[{at}].unit_price", tier.get("unit_price"))
    try:
        product = msgspec.convert(values, ProductInput)
    except msgspec.ValidationError as error:
        raise _missing(values) or choices_shown(error, ProductInput) from None
    if product.name.isspace():
        raise InvalidInput("is blank", "$.name")
    return product


def _missing(values: dict[str, Any]) -> InvalidInput | None:
    missing = [name for name in REQUIRED if name not in values]
    return InvalidInput("is missing; every product has one", f"$.{missing[0]}") if missing else None


def _check_amount(name: str, value: object) -> None:
    if isinstance(value, str) and not amounts.is_plain(value):
        raise InvalidInput(amounts.REASON, f"$.{name}")


# Of a row for a product that exists; this currency has most decimals.
_PLACEHOLDERS = {"name": "x", "currency": "CLF", "base_price": "0"}
_CASES = (("currency", str.upper), ("content_unit", str.lower))
SURROGATE = re.compile("[\ud800-\udfff]").search
_OBJECT = msgspec.json.Decoder(dict[str, Any], float_hook=amounts.exact)
_ARRAY = msgspec.json.Decoder(list[Any], float_hook=amounts.exact)
_JSON: tuple[tuple[str, msgspec.json.Decoder[Any], str], ...] = (
    ("tiers", _ARRAY, "array"),
    ("tags", _ARRAY, "array"),
    ("content", _OBJECT, "object"),
)
