"""Simple entries: rows of plain CSV with an amount and perhaps a customer and a window, read as text.

Text costs a fifth of what objects cost. All other rows take the full path. A test compares the results of both.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from shared.catalogue import price_lists
from shared.importing.rows import Reader
from shared.importing.simple_rows import ELSE, compiled
from shared.pricing.entries import EntryInput
from shared.pricing.ratio import ONE


class GoodEntry(NamedTuple):
    """An entry that can be stored: `line` is where it starts, `copied` its columns `COLUMNS` for COPY."""

    product_id: str
    line: int
    raw: str
    currency: str
    is_for_everyone: bool
    copied: str


class SimpleEntries:
    """Parses the simple rows of a table.

    Args:
        reader: The reader of the table.
        list_id: The list.
        revision: The revision of its entries.
        currency: The list's currency; None: that of each product.
    """

    def __init__(self, reader: Reader, list_id: str, revision: int, currency: str | None) -> None:
        self._match, self._is_told = _pattern(reader), reader.decimal is not None
        self._list_id, self._revision, self._currency = list_id, revision, currency
        self._windows: dict[tuple[str, str, str], tuple[str, str] | None] = {}

    def good(self, line: int, raw: str) -> GoodEntry | None:
        """The entry in a row of ASCII, or None where the row is not simple."""
        found = self._match(raw) if self._match else None
        if not found or (len(found["decimals"] or "") == _GROUPED and not self._is_told):
            return None
        product_id, whole, decimals, customer_id, currency, *window = found.group(*_GROUPS)
        amount, currency = f"{whole}.{decimals}" if decimals else whole, currency.upper()
        if currency and self._currency:
            if currency != self._currency:
                return None
            currency = ""
        document = self._document(window[0], window[1], window[2])
        if document is None:
            return None
        copied = f"{self._list_id}\t{self._revision}\t{product_id}\t{customer_id}\t{line}\t"
        copied += f'{document[0]}"amount":"{amount}"{document[1]}'
        return GoodEntry(product_id, line, raw, currency, not customer_id, copied)

    def _document(self, opens: str, closes: str, zone: str) -> tuple[str, str] | None:
        """The text before and after the amount; None where the window is wrong."""
        key = opens, closes, zone
        if key not in self._windows:
            if len(self._windows) >= _MOST_WINDOWS:
                self._windows.clear()
            self._windows[key] = self._new_document(opens, closes, zone)
        return self._windows[key]

    def _new_document(self, opens: str, closes: str, zone: str) -> tuple[str, str] | None:
        try:
            example = EntryInput(
                product_id="x", amount=ONE, from_=opens or None, until=closes or None, zone=zone or "UTC"
            )
            document = price_lists.row_of(example, self._list_id, self._revision, 0).document
        except ValueError:
            return None
        before, _, after = document.partition('"amount":"1"')
        return before, after


def _pattern(reader: Reader) -> Callable[[str], re.Match[str] | None] | None:
    """The pattern of a simple row; None: no row of this file is simple."""
    names = {at: name for name, at in reader.positions}
    if not {"product_id", "amount"} <= set(names.values()):
        return None
    columns = [_PATTERNS.get(names[at], "") if at in names else ELSE for at in range(reader.width)]
    return compiled(columns, [_KEYS[name] for name in _OPTIONAL], reader)


_MOST_WINDOWS = 10_000
_GROUPED = 3  # digits between two marks that group
_OPTIONAL = ("customer_id", "currency", "from", "until", "zone")
_KEYS = {name: name.replace("from", "opens") for name in _OPTIONAL}
_GROUPS = ("product_id", "whole", "decimals", "customer_id", "currency", "opens", "until", "zone")
# Without the characters that COPY or JSON needs escaped, and without outer blanks.
_TEXT = r'(?!\s)[^"DELIMITER\\\x00-\x1f]{{0,{}}}(?<!\s)'
# Three decimals may also be grouping: they are left to the full path, unless the caller tells the mark.
_PATTERNS = {
    "product_id": "(?P<product_id>[A-Za-z0-9][A-Za-z0-9._:/ -]{0,127}(?<! ))",
    "amount": r"(?P<whole>0|[1-9][0-9]{0,10})(?:MARK(?P<decimals>[0-9]{1,6}))?",
    "customer_id": f"(?P<customer_id>|{_TEXT.format(64)})",
    "currency": "(?P<currency>|[A-Za-z]{3})",
    "from": f"(?P<opens>|{_TEXT.format(40)})",
    "until": f"(?P<until>|{_TEXT.format(40)})",
    "zone": f"(?P<zone>|{_TEXT.format(40)})",
}
