"""Simple rows: plain CSV with id, name, category, currency and list price alone, parsed and priced as text.

Most rows of most files are simple, and text costs a tenth of what objects cost. All other rows take the full path. A
test compares the results of both.
"""

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec

from shared.catalogue import products
from shared.importing.rows import Reader
from shared.pricing.currencies import EXPONENTS
from shared.pricing.policy import Policy
from shared.pricing.product import ProductInput
from shared.pricing.sheet import PriceSheet


class Good(msgspec.Struct, frozen=True, gc=False):
    """A row that can be imported; its texts are escaped for COPY.

    Attributes:
        product: The columns of the product.
        category: As it is, not escaped.
        published_price: The first price.
        sheet: The sheet of that price.
        given: The columns that the row has, as `rows.Read`.
    """

    product_id: str
    line: int
    raw: str
    product: str
    category: str
    currency: str
    published_price: str
    sheet: str
    given: int


class SimpleRows:
    """Parses the simple rows of a table, and prices them.

    Args:
        reader: The reader of the table.
        policy: Decides the prices.
        first_sheet: The full path: computes the sheet of a new product.
    """

    def __init__(self, reader: Reader, policy: Policy, first_sheet: Callable[[ProductInput], PriceSheet]) -> None:
        self._match, self._has_tabs = _pattern(reader), reader.delimiter == "\t"
        self._currency = reader.constants.get("currency", "")
        self._category = reader.constants.get("category", _GENERAL)
        self._policy, self._first_sheet, self._given = policy, first_sheet, reader.given
        self._templates: dict[tuple[str, str], _SheetTemplate | None] = {}

    def good(self, line: int, raw: str) -> Good | None:
        """The row, or None where it is not simple; `raw` must be UTF-8 without quotes."""
        found = self._match(raw) if self._match else None
        if not found:
            return None
        product_id, name, category, currency, whole, decimals = found.group(*_GROUPS)
        template = self._template(category or self._category, currency or self._currency)
        written = f"{whole}.{decimals}" if decimals else whole
        price = template and template.price(whole, decimals or "")
        if not template or not price:
            return None
        category = category or self._category
        product = f"{product_id}\t{name}\t{category}\t{template.currency}\t{written}{_NOTHING_ELSE}"
        sheet = template.sheet(product_id, price, category)
        if self._has_tabs:
            raw = raw.replace("\t", r"\t")
        return Good(product_id, line, raw, product, category, template.currency, price, sheet, self._given)

    def _template(self, category: str, currency: str) -> "_SheetTemplate | None":
        key = self._policy.categories.get(category, self._policy.default_strategy), currency
        if key not in self._templates:
            code = currency.upper()
            self._templates[key] = self._new_template(category, code) if code in EXPONENTS else None
        return self._templates[key]

    def _new_template(self, category: str, currency: str) -> "_SheetTemplate | None":
        """A template cut from one sheet of the full path; None where it does not reproduce a second such sheet."""
        first, other = (self._example(category, currency, minor) for minor in (8_237_465, 31))
        body = first.sheet.removesuffix(_ending(category))
        head, _, rest = body.partition(first.product_id)
        template = _SheetTemplate(currency, EXPONENTS[currency], head, rest.split(first.published_price))
        return template if template.sheet(other.product_id, other.published_price, category) == other.sheet else None

    def _example(self, category: str, currency: str, minor: int) -> "_Example":
        price = Decimal(minor).scaleb(-EXPONENTS[currency])
        product = ProductInput(
            product_id=f"EXAMPLE-{minor}", name="x", category=category, currency=currency, base_price=price
        )
        sheet = msgspec.json.encode(self._first_sheet(product)).decode()
        return _Example(product.product_id, str(price), copy_escape(sheet))


class _Example(NamedTuple):
    product_id: str
    published_price: str
    sheet: str


class _SheetTemplate:
    """The sheets of one strategy and currency, with gaps for the id, the price and the category."""

    def __init__(self, currency: str, places: int, head: str, between: list[str]) -> None:
        self.currency, self._places, self._head, self._between = currency, places, head, between

    def price(self, whole: str, decimals: str) -> str | None:
        """An amount with the currency's decimals; None: it has more of them, or is 0."""
        if len(decimals) > self._places or not (int(whole) or int(decimals or "0")):
            return None
        return f"{whole}.{decimals.ljust(self._places, '0')}" if self._places else whole

    def sheet(self, product_id: str, price: str, category: str) -> str:
        """The first sheet of a product, escaped for COPY."""
        return f"{self._head}{product_id}{price.join(self._between)}{_ending(category)}"


def _ending(category: str) -> str:
    """The end of a sheet; the category needs no escape, neither in JSON nor for COPY."""
    return "}" if category == _GENERAL else f',"category":"{category}"}}'


def product_columns(product: ProductInput) -> str:
    """The columns `products.COLUMNS` of a product, escaped for COPY."""
    values = [getattr(product, name) for name in products.FIELDS]
    documents = [getattr(product, name) for name in products.JSON_FIELDS]
    values += [None if value is None else msgspec.json.encode(value).decode() for value in documents]
    return "\t".join(["\\N" if value is None else copy_escape(str(value)) for value in values])


def copy_escape(text: str) -> str:
    """Escape text for COPY's text format, see https://www.postgresql.org/docs/current/sql-copy.html."""
    return text.replace("\\", r"\\").replace("\t", r"\t").replace("\n", r"\n").replace("\r", r"\r")


def _pattern(reader: Reader) -> Callable[[str], re.Match[str] | None] | None:
    """The pattern of a simple row; None: no row of this file is simple."""
    names = {at: name for name, at in reader.positions}
    if reader.from_spreadsheets:
        return None
    if len(names) < len(reader.positions) or not {"product_id", "name", "base_price"} <= set(names.values()):
        return None
    columns = [_PATTERNS.get(names[at], "") if at in names else ELSE for at in range(reader.width)]
    return compiled(columns, ("category", "currency"), reader)


def compiled(columns: Sequence[str], optional: Sequence[str], reader: Reader) -> Callable[[str], re.Match[str] | None]:
    """The pattern of a row, from the patterns of its cells; optional groups without a column are empty.

    In the patterns `DELIMITER` stands for the file's delimiter, and `MARK` for its decimal mark.
    """
    missing = [f"(?P<{name}>)" for name in optional if not any(f"(?P<{name}>" in column for column in columns)]
    text = "DELIMITER".join(columns) + "(?:DELIMITER)*" + "".join(missing)
    mark = _MARKS[reader.decimal]
    if reader.delimiter == ",":  # then a comma is no decimal mark in a line without quotes
        mark = r"(?!)" if reader.decimal == "comma" else r"\."
    return re.compile(text.replace("DELIMITER", re.escape(reader.delimiter)).replace("MARK", mark)).fullmatch


_GENERAL = "general"
_PLAIN = ProductInput(product_id="x", name="x", currency="USD", base_price=Decimal(1))
_NOTHING_ELSE = "\t" + product_columns(_PLAIN).split("\t", 5)[5]
_GROUPS = ("product_id", "name", "category", "currency", "whole", "decimals")
_COMMA = ",(?![0-9]{3}(?![0-9]))"
# Without `--decimal` a comma before three digits may also be grouping.
_MARKS = {"point": r"\.", "comma": ",", None: rf"(?:\.|{_COMMA})"}
# Without the characters that COPY needs escaped.
ELSE = r'[^"DELIMITER\\\x00-\x1f]*'
_PATTERNS = {
    "product_id": "(?P<product_id>[A-Za-z0-9][A-Za-z0-9._:/ -]{0,127}(?<! ))",
    "name": r'(?P<name>(?!\s)[^"DELIMITER\\\x00-\x1f]{1,200}(?<!\s))',
    "category": r'(?P<category>|(?!\s)[^"DELIMITER\\\x00-\x1f]{1,256}(?<!\s))',
    "currency": "(?P<currency>[A-Za-z]{3})",
    "base_price": r"(?P<whole>0|[1-9][0-9]{0,11})(?:MARK(?P<decimals>[0-9]{1,4}))?",
}
