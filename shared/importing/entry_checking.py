"""Checking of price-list entries: rows become lines for COPY, or faults."""

from collections.abc import Iterator, Sequence, Set
from decimal import Decimal
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple

import msgspec

from shared.catalogue import price_lists
from shared.errors import InvalidInput, translate
from shared.importing import faults
from shared.importing.chunks import Block, Chunk
from shared.importing.rows import Reader, Row
from shared.importing.simple_entries import GoodEntry, SimpleEntries
from shared.importing.simple_rows import copy_escape
from shared.pricing.currencies import EXPONENTS
from shared.pricing.entries import EntryInput
from shared.wire import amounts

NAMES = (
    *("product_id", "customer_id", "amount", "currency", "from", "until", "zone"),
    *("min_quantity", "up_to", "tier_mode", "tiers", "price_decimals"),
)
REQUIRED = ("product_id",)
TIER_COLUMNS = ("min_quantity", "up_to")
# The smallest step of a quantity: a tier ends this much before the next one begins.
_STEP = Decimal("0.001")
_FEWEST = 5_000  # rows of a chunk, except the last one
_MOST_WAITING = 100_000  # rows of one entry, which has too many tiers


class BadRow(NamedTuple):
    """A row that cannot be imported."""

    line: int
    raw: str
    field: str
    reason: str


class CheckedEntries(NamedTuple):
    """The entries and the bad rows of a chunk."""

    rows: int
    good: list[GoodEntry]
    bad: list[BadRow]


class EntryCheck(msgspec.Struct, frozen=True):
    """The check of the entries of one list.

    Attributes:
        reader: Reads the rows.
        list_id: The list.
        revision: The revision under which they are loaded.
        currency: The list's currency; None: that of each product.
        has_tier_rows: Whether a tier may be a row, and rows that follow one another one entry.
    """

    reader: Reader
    list_id: str
    revision: int
    currency: str | None
    has_tier_rows: bool

    @property
    def places(self) -> int:
        """The decimals of the list's currency."""
        return EXPONENTS.get(self.currency or "", 2)

    def checked(self, chunk: Chunk) -> CheckedEntries:
        """Check the rows of a chunk."""
        good: list[GoodEntry] = []
        bad: list[BadRow] = []
        rows = 0
        for found, count in self._found(chunk):
            rows += count
            good.append(found) if isinstance(found, GoodEntry) else bad.extend(found)
        return CheckedEntries(rows, good, bad)

    def full(self, group: list[Row]) -> GoodEntry | list[BadRow]:
        """Check the rows of one entry by the full path."""
        first = group[0]
        try:
            entry, currency = self._read(group)
        except InvalidInput as error:
            field, reason = faults.described(error, partial(self._read, group), [frozenset(TIER_COLUMNS)])
            return [BadRow(row.line, row.raw, field, reason) for row in group]
        row = price_lists.row_of(entry, self.list_id, self.revision, first.line)
        columns = (self.list_id, str(self.revision), row.product_id, row.customer_id, str(row.ordinal), row.document)
        copied = "\t".join(map(copy_escape, columns))
        return GoodEntry(row.product_id, first.line, first.raw, currency, not row.customer_id, copied)

    def key(self, row: Row) -> object:
        """The product, customer and window of a row: rows of one key that follow one another are one entry."""
        try:
            values = self.reader.values(row)
        except InvalidInput:
            return row.line
        if "tiers" in values:
            return row.line
        return tuple(values.get(name) for name in ("product_id", "customer_id", "from", "until", "zone"))

    def _found(self, chunk: Chunk) -> Iterator[tuple[GoodEntry | list[BadRow], int]]:
        """What becomes of the rows, each with the number of its rows."""
        if self.has_tier_rows or not isinstance(chunk, Block):
            rows = _rows(self.reader, chunk)
            for _, found in groupby(rows, self.key) if self.has_tier_rows else ((None, [row]) for row in rows):
                group = list(found)
                yield self.full(group), len(group)
            return
        simple = SimpleEntries(self.reader, self.list_id, self.revision, self.currency)
        is_plain = chunk.text.isascii()
        for line, raw in _lines(self.reader, chunk):
            yield (is_plain and simple.good(line, raw)) or self.full([self.reader.row(line, raw)]), 1

    def _read(self, group: list[Row], without: Set[str] = frozenset()) -> tuple[EntryInput, str]:
        """The entry in its rows, without some columns, and the currency to be compared with the product's."""
        if any(isinstance(row.cells, str) for row in group):
            raise InvalidInput(f"not CSV: {group[0].cells}")
        values = [self.reader.values(row) for row in group]
        for one in values:
            for name in without:
                one.pop(name, None)
            one.update({name: _PLACEHOLDERS[name] for name in _PLACEHOLDERS.keys() & without})
            self._convert(one, is_text=group[0].cells is not None)
        currency = self._currency(values)
        return _entry(_merged(values)), currency

    def _convert(self, values: dict[str, Any], *, is_text: bool) -> None:
        """Bring the values of one row to their types, in place."""
        for name in ("amount", *TIER_COLUMNS):
            if isinstance(text := values.get(name), str):
                if is_text:
                    values[name] = self.reader.number(name, text, self.places if name == "amount" else 6)
                elif not amounts.is_plain(text):
                    raise InvalidInput(amounts.REASON, f"$.{name}")
        if not is_text:
            return
        if "price_decimals" in values:
            values["price_decimals"] = self.reader.whole("price_decimals", values["price_decimals"])
        if "tiers" in values:
            try:
                values["tiers"] = _ARRAY.decode(values["tiers"])
            except (msgspec.DecodeError, RecursionError) as error:
                raise InvalidInput(f"must be a JSON array: {error}", "$.tiers") from None

    def _currency(self, values: Sequence[dict[str, Any]]) -> str:
        """The currency that the rows name, where it is to be compared with the product's; else empty."""
        named = {one.pop("currency", None) for one in values} - {None}
        for currency in named:
            if self.currency is not None and currency != self.currency:
                raise InvalidInput(f"the list is in {self.currency}, not in {currency}", "$.currency")
        if len(named) > 1:
            raise InvalidInput("the tiers of one entry have several currencies", "$.currency")
        return "" if self.currency is not None or not named else str(named.pop())


def regrouped(check: EntryCheck, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """The same rows in chunks that end between two entries."""
    waiting: list[Row] = []
    for chunk in chunks:
        waiting += _rows(check.reader, chunk)
        if len(waiting) < _FEWEST:
            continue
        last = check.key(waiting[-1])
        cut = len(waiting) - 1
        while cut and check.key(waiting[cut - 1]) == last:
            cut -= 1
        if cut or len(waiting) > _MOST_WAITING:
            yield waiting[: cut or None]
            waiting = waiting[cut:] if cut else []
    if waiting:
        yield waiting


def _rows(reader: Reader, chunk: Chunk) -> Iterator[Row]:
    if not isinstance(chunk, Block):
        yield from chunk
        return
    for line, raw in _lines(reader, chunk):
        yield reader.row(line, raw)


def _lines(reader: Reader, chunk: Block) -> Iterator[tuple[int, str]]:
    for line, raw in enumerate(chunk.text.replace("\r\n", "\n").split("\n"), chunk.line):
        if raw.strip(reader.blank if reader.is_table else None):
            yield line, raw


def _merged(values: list[dict[str, Any]]) -> dict[str, Any]:
    """The document of an entry: of one row, or of one row per tier."""
    first = values[0]
    if not any(name in one for one in values for name in TIER_COLUMNS):
        if len(values) > 1:
            raise InvalidInput(f"{first.get('product_id')} is there twice, with the same window", "$.product_id")
        return first
    begins = [_quantity(one, "min_quantity") for one in values]
    ends = [_quantity(one, "up_to") for one in values]
    for at, following in enumerate(begins[1:]):
        begin = begins[at]
        if begin is not None and following is not None and following <= begin:
            raise InvalidInput("must be above that of the tier before", "$.min_quantity")
        if ends[at] is None and following is not None:
            ends[at] = following - _STEP
    rows = []
    for at, one in enumerate(values):
        if "amount" not in one:
            raise InvalidInput("is missing: it is the price of the tier", "$.amount")
        if "tiers" in one:
            raise InvalidInput("must not stand beside min_quantity and up_to", "$.tiers")
        tier = {"unit_price": one["amount"], "up_to": ends[at], "from": begins[0] if at == 0 else None}
        rows.append({name: value for name, value in tier.items() if value is not None})
    known = {name: value for name, value in first.items() if name not in ("amount", *TIER_COLUMNS)}
    return {**known, "tiers": rows}


def _quantity(values: dict[str, Any], name: str) -> Decimal | None:
    value = values.get(name)
    if value is None:
        return None
    try:
        return msgspec.convert(value, Decimal)
    except msgspec.ValidationError as error:
        raise InvalidInput(str(error), f"$.{name}") from None


def _entry(document: dict[str, Any]) -> EntryInput:
    try:
        entry = msgspec.convert(document, EntryInput)
        amounts.check(entry, document)
    except msgspec.ValidationError as error:
        if "product_id" not in document:
            raise InvalidInput("is missing", "$.product_id") from None
        raise translate(error) or error from None
    return entry


# For columns that an entry needs, where they are left out to find the faults of the others.
_PLACEHOLDERS = {"product_id": "x", "amount": "0"}
COLUMNS = ("list_id", "revision", "product_id", "customer_id", "ordinal", "document")
_ARRAY = msgspec.json.Decoder(list[Any], float_hook=amounts.exact)
