"""Rows: CSV or JSON Lines, told apart by what they begin with, become products or rejects."""

import csv
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from shared.catalogue.importing.columns import REQUIRED, Columns, RefusedFile
from shared.catalogue.importing.source import Lines
from shared.errors import InvalidInput, translated
from shared.pricing.models import ProductInput

AMOUNTS = ("base_price", "cost", "min_price", "max_price")
ROW = "row"


class Row(NamedTuple):
    """One row of a file: a product, or what is wrong.

    Attributes:
        line: The physical line where it starts, from 1.
        raw: The row as it stands in the file; what is not UTF-8 is written `\\xff`.
        column: Of ours; `row` where it is no single one.
    """

    line: int
    raw: str
    product: ProductInput | None
    column: str | None = None
    reason: str | None = None


def rows(lines: Lines, columns: Columns) -> Iterator[Row]:
    """Every row of a file, good or bad; blank lines are none.

    Raises:
        RefusedFile: it is empty, binary, or its header does not name what must be there.
    """
    first = lines.first()
    if not first:
        raise RefusedFile("it is empty")
    if "\0" in first:
        raise RefusedFile("it is binary, neither CSV nor JSON Lines in UTF-8")
    if not _is_utf8(first) and not first.lstrip().startswith("{"):
        raise RefusedFile("its first line is not UTF-8 text")
    if first.lstrip().startswith("["):
        raise RefusedFile("it is a JSON array; JSON Lines have one object per line, without brackets around them")
    return _json_rows(lines, columns) if first.lstrip().startswith("{") else _csv_rows(lines, columns)


def _csv_rows(lines: Lines, columns: Columns) -> Iterator[Row]:
    reader = csv.reader(lines, strict=True)
    try:
        header = next(reader)
    except csv.Error as error:
        raise RefusedFile(f"its header is no CSV: {error}") from None
    positions, width = columns.positions(header), len(header)

    def product() -> ProductInput | None:
        try:
            cells = next(reader)
        except csv.Error as error:
            raise InvalidInput(f"no CSV: {error}") from None
        if not cells:
            return None
        if len(cells) != width:
            raise InvalidInput(f"{len(cells)} columns, not {width} as in the header")
        values: dict[str, Any] = {**columns.constants}
        values.update((name, cells[at]) for name, at in positions if cells[at])
        return _product(_from_text(values))

    return _each(lines, product)


def _json_rows(lines: Lines, columns: Columns) -> Iterator[Row]:
    decoder = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
    if columns.theirs:
        columns.check(columns.theirs)

    def product() -> ProductInput | None:
        line = next(lines)
        if line.isspace():
            return None
        if not _is_utf8(line):
            raise InvalidInput("not UTF-8")
        with translated():
            found = decoder.decode(line)
        if columns.theirs:
            found = {ours: found[name] for ours, name in columns.theirs.items() if name in found}
        # Elsewhere an id is often a number.
        if type(found.get("product_id")) is int:
            found["product_id"] = str(found["product_id"])
        present = {name: value for name, value in found.items() if value is not None and value != ""}
        return _product({**columns.constants, **present})

    return _each(lines, product)


def _each(lines: Lines, product: Callable[[], ProductInput | None]) -> Iterator[Row]:
    while True:
        lines.begin()
        try:
            found = product()
            if found is None:
                continue
            raw = lines.raw()
            if not _is_utf8(raw):
                raise InvalidInput("not UTF-8")
        except StopIteration:
            return
        except InvalidInput as error:
            raw = lines.raw()
            reason = error.reason if _is_utf8(raw) else "not UTF-8"
            yield Row(lines.start, _printable(raw), None, error.path.removeprefix("$").strip(".") or ROW, reason)
            continue
        yield Row(lines.start, _printable(raw), found)


def _product(values: dict[str, Any]) -> ProductInput:
    for name in AMOUNTS:
        _check_amount(name, values.get(name))
    for at, tier in enumerate(values.get("tiers") or ()):
        if isinstance(tier, dict):
            _check_amount(f"tiers[{at}].unit_price", tier.get("unit_price"))
    try:
        with translated():
            product = msgspec.convert(values, ProductInput)
    except InvalidInput:
        for name in REQUIRED:
            if name not in values:
                raise InvalidInput("is missing", f"$.{name}") from None
        raise
    if product.name.isspace():
        raise InvalidInput("is blank", "$.name")
    return product


def _from_text(values: dict[str, Any]) -> dict[str, Any]:
    if "stock" in values:
        if not _WHOLE(values["stock"]):
            raise InvalidInput("must be a whole number such as 12", "$.stock")
        values["stock"] = int(values["stock"])
    if "tiers" in values:
        try:
            values["tiers"] = _TIERS.decode(values["tiers"])
        except (msgspec.DecodeError, RecursionError) as error:
            raise InvalidInput(f"must be a JSON array: {error}", "$.tiers") from None
    return values


def _check_amount(name: str, value: object) -> None:
    # Python's Decimal would also read 1_0, a number between blanks, and the digits of other scripts.
    if isinstance(value, str) and not _PLAIN(value):
        raise InvalidInput("must be a plain number such as 49.90", f"$.{name}")


def _is_utf8(text: str) -> bool:
    return text.isascii() or not _SURROGATE(text)


def _printable(raw: str) -> str:
    """PostgreSQL stores no NUL, and nothing writes a lone surrogate."""
    if raw.isascii() and "\0" not in raw:
        return raw
    return raw.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace").replace("\0", "\\x00")


_PLAIN = re.compile(r"-?[0-9]+(\.[0-9]+)?").fullmatch
_WHOLE = re.compile(r"-?[0-9]{1,18}").fullmatch
_SURROGATE = re.compile("[\ud800-\udfff]").search
_TIERS = msgspec.json.Decoder(list[Any], float_hook=Decimal)
