"""Rows: lines of CSV or JSON objects; each becomes a product or an error."""

import csv
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from shared.errors import InvalidInput, translate, translated
from shared.importing.columns import CONTENT, REQUIRED
from shared.importing.spreadsheets import unprotected
from shared.pricing.product import ProductInput
from shared.wire import amounts

AMOUNTS = ("base_price", "cost", "min_price", "max_price", "quantity_step", "map_price", "rrp")


class Row(NamedTuple):
    """One row as in the file; bytes that are not UTF-8 are lone surrogates.

    Attributes:
        line: The physical line where the row starts, from 1.
        cells: The cells of a CSV row, or the error of the CSV reader; None: the row is a JSON object.
    """

    line: int
    raw: str
    cells: list[str] | str | None


class Reader(msgspec.Struct, frozen=True):
    """Turns rows into products; can be sent to another process.

    Attributes:
        constants: Our name → the value for rows that have none.
        positions: CSV: our columns, each with its position.
        width: CSV: the number of columns that a row must have.
        theirs: JSON: our name → the file's; empty: the file has our names.
        from_spreadsheets: CSV: remove the apostrophes of an export for spreadsheets.
    """

    constants: Mapping[str, str]
    positions: list[tuple[str, int]] = []
    width: int = 0
    theirs: Mapping[str, str] = {}
    from_spreadsheets: bool = False

    @property
    def is_table(self) -> bool:
        """Whether the rows are CSV."""
        return self.width > 0

    def row(self, line: int, raw: str) -> Row:
        """The row in one line, given without its end; a CSV line must have no quotes."""
        return Row(line, raw, _cells(raw) if self.is_table else None)

    def product(self, row: Row) -> ProductInput:
        """The product in a row.

        Raises:
            InvalidInput: the row has no valid product; the path names the column, or is `$`.
        """
        values = self.values(row)
        return _product(values if row.cells is None else _from_text(values))

    def values(self, row: Row) -> dict[str, Any]:
        """The values in a row by our names, without empty ones; those of a CSV row are texts.

        Raises:
            InvalidInput: the row has another form than the file.
        """
        if not row.raw.isascii() and SURROGATE(row.raw):
            raise InvalidInput("not UTF-8")
        return self._object(row.raw) if row.cells is None else self._record(row.cells)

    def _record(self, cells: list[str] | str) -> dict[str, Any]:
        if isinstance(cells, str):
            raise InvalidInput(f"not CSV: {cells}")
        if len(cells) != self.width:
            raise InvalidInput(f"{len(cells)} columns, not {self.width} as in the header")
        if self.from_spreadsheets:
            cells = list(map(unprotected, cells))
        values: dict[str, Any] = {name: cells[at] for name, at in self.positions if cells[at]}
        return {**self.constants, **values}

    def _object(self, raw: str) -> dict[str, Any]:
        with translated():
            found = _OBJECT.decode(raw)
        if self.theirs:
            found = {ours: found[name] for ours, name in self.theirs.items() if name in found}
        # In many files an id is a number.
        if type(found.get("product_id")) is int:
            found["product_id"] = str(found["product_id"])
        present = {name: value for name, value in found.items() if value is not None and value != ""}
        return {**self.constants, **present}


def _product(values: dict[str, Any]) -> ProductInput:
    for name in (*AMOUNTS, *CONTENT[:1]):
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
        raise _missing(values) or translate(error) or error from None
    if product.name.isspace():
        raise InvalidInput("is blank", "$.name")
    return product


def _cells(raw: str) -> list[str] | str:
    try:
        return next(csv.reader([raw], strict=True))
    except csv.Error as error:
        return str(error)


def _missing(values: dict[str, Any]) -> InvalidInput | None:
    missing = [name for name in REQUIRED if name not in values]
    return InvalidInput("is missing", f"$.{missing[0]}") if missing else None


def _from_text(values: dict[str, Any]) -> dict[str, Any]:
    for name in ("stock", "price_decimals"):
        if name in values:
            if not _WHOLE(values[name]):
                raise InvalidInput("must be a whole number such as 12", f"$.{name}")
            values[name] = int(values[name])
    if "tags" in values and not values["tags"].startswith("["):
        values["tags"] = [tag for tag in map(str.strip, values["tags"].split("|")) if tag]
    for name, decoder, form in _JSON:
        if isinstance(values.get(name), str):
            try:
                values[name] = decoder.decode(values[name])
            except (msgspec.DecodeError, RecursionError) as error:
                raise InvalidInput(f"must be a JSON {form}: {error}", f"$.{name}") from None
    return values


def _check_amount(name: str, value: object) -> None:
    if isinstance(value, str) and not amounts.is_plain(value):
        raise InvalidInput(amounts.REASON, f"$.{name}")


_WHOLE = re.compile(r"-?[0-9]{1,18}").fullmatch
SURROGATE = re.compile("[\ud800-\udfff]").search
_OBJECT = msgspec.json.Decoder(dict[str, Any], float_hook=amounts.exact)
_ARRAY = msgspec.json.Decoder(list[Any], float_hook=amounts.exact)
_JSON: tuple[tuple[str, msgspec.json.Decoder[Any], str], ...] = (
    ("tiers", _ARRAY, "array"),
    ("tags", _ARRAY, "array"),
    ("content", _OBJECT, "object"),
)
