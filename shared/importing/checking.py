"""Checking: rows become lines for COPY, each with its product and first price, or with its fault."""

from collections.abc import Iterator, Set
from datetime import datetime
from decimal import Decimal
from functools import partial
from operator import attrgetter
from typing import NamedTuple

import msgspec

from shared.catalogue import products
from shared.changes.entries import PriceItem
from shared.errors import InvalidInput
from shared.importing import faults
from shared.importing.chunks import Block, Chunk
from shared.importing.columns import CONTENT, NEW_PRODUCT
from shared.importing.rows import SURROGATE, Read, Reader, Row
from shared.importing.simple_rows import Good, SimpleRows, copy_escape, product_columns
from shared.pricing.decision import decide, sheet_of
from shared.pricing.product import ProductInput
from shared.pricing.sheet import PriceSheet
from shared.pricing.state import NEW
from shared.rulebook import store as rulebook
from shared.rulebook.store import ActivePolicy

CONTENT_COLUMNS = frozenset({"content", *CONTENT})


class Checked(NamedTuple):
    """The checked rows of a chunk, as lines for COPY.

    A product's first row in the chunk is in the fields from `product_ids` on. These fields have the same products,
    in the order of their ids.

    Attributes:
        staged: The columns `STAGED` of bad rows, and of further rows of a product.
        rejected: The number of bad rows.
        product_ids: The ids.
        lines: The line number of each row.
        source_rows: The columns `SOURCE_ROW`.
        products: The columns `PRODUCT`.
        given: The columns that each row has, as `rows.Read`.
        prices: The columns `PRICE`.
        history: The columns `HISTORY`.
        logged: The first prices for the log of changes, each in JSON.
    """

    staged: bytes
    rejected: int
    product_ids: list[str]
    lines: list[int]
    source_rows: bytes
    products: bytes
    given: list[int]
    prices: bytes
    history: bytes
    logged: bytes


class Check(msgspec.Struct, frozen=True):
    """The check of rows.

    Attributes:
        policy: Decides the first price of new products.
        at: The time of that decision.
        cause_id: The import, for the price history.
        trace_id: The import's trace, for the price history.
    """

    reader: Reader
    policy: ActivePolicy
    at: datetime
    cause_id: str
    trace_id: str

    def checked(self, chunk: Chunk) -> Checked:
        """Check the rows of a chunk."""
        good: dict[str, Good] = {}
        staged: list[str] = []
        rejected = 0
        for found in self._rows(chunk):
            if isinstance(found, str):
                staged.append(found)
                rejected += 1
            elif found.product_id in good:
                staged.append(_staged(found))
            else:
                good[found.product_id] = found
        return self._packed(staged, rejected, sorted(good.values(), key=attrgetter("product_id")))

    def full(self, row: Row) -> Good | str:
        """Check a row by the full path; returns a good row, or the `STAGED` line of a bad one."""
        try:
            product, given = self._read(row)
        except InvalidInput as error:
            field, reason = faults.described(error, partial(self._read, row), [CONTENT_COLUMNS])
            return "\t".join([str(row.line), *map(_printed, (row.raw, field, reason)), _NO_PRODUCT])
        # A row that leaves out what a new product needs is no first price.
        sheet = self.first_sheet(product) if given & NEW_PRODUCT == NEW_PRODUCT else None
        return Good(
            product.product_id,
            row.line,
            _printed(row.raw),
            product_columns(product),
            product.category,
            product.currency,
            str(sheet.published_price) if sheet else "0",
            copy_escape(_json(sheet)) if sheet else "",
            given,
        )

    def first_sheet(self, product: ProductInput) -> PriceSheet:
        """The sheet that `published.reprice` would decide: a new product has neither signals nor a last price."""
        return sheet_of(
            product,
            decide(product, (), self.policy.policy, NEW, self.at),
            version=1,
            policy_version=self.policy.version,
            policy=self.policy.policy,
            computed_at=self.at,
        )

    def _read(self, row: Row, without: Set[str] = frozenset()) -> Read:
        found = self.reader.read(row, without)
        rulebook.check_strategy(self.policy, found.product)
        return found

    def _rows(self, chunk: Chunk) -> Iterator[Good | str]:
        if not isinstance(chunk, Block):
            yield from map(self.full, chunk)
            return
        is_table, text = self.reader.is_table, chunk.text.replace("\r\n", "\n")
        simple = SimpleRows(self.reader, self.policy.policy, self.first_sheet)
        is_plain, blank = is_table and (text.isascii() or not SURROGATE(text)), self.reader.blank
        for line, raw in enumerate(text.split("\n"), chunk.line):
            if found := is_plain and simple.good(line, raw):
                yield found
            elif raw.strip(blank if is_table else None):
                yield self.full(self.reader.row(line, raw))

    def _packed(self, staged: list[str], rejected: int, good: list[Good]) -> Checked:
        policy_version = self.policy.version
        price = f"1\t{policy_version}\t{self.at}\timport\t{self.cause_id}"
        history = f"1\timport\t{self.cause_id}\t{policy_version}\t{self.trace_id}\t{self.at}"
        # Ids have no line breaks: all are escaped at once.
        ids = "\n".join([row.product_id for row in good]).replace("\\", r"\\").split("\n")
        escaped = list(zip(good, ids, strict=False))
        return Checked(
            _encoded(staged),
            rejected,
            [row.product_id for row in good],
            [row.line for row in good],
            _encoded([f"{row.line}\t{row.raw}" for row in good]),
            _encoded([row.product for row in good]),
            [row.given for row in good],
            _encoded([f"{row.published_price}\t{row.sheet}\t{one}\t{price}" for row, one in escaped]),
            _encoded([f"{one}\t{row.published_price}\t{row.currency}\t{history}" for row, one in escaped]),
            _encoded([_logged(row) for row in good]),
        )


def printable(raw: str) -> str:
    """Text with NUL and lone surrogates escaped, which PostgreSQL cannot store."""
    if raw.isascii() and "\0" not in raw:
        return raw
    return raw.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace").replace("\0", "\\x00")


def _staged(row: Good) -> str:
    return f"{row.line}\t{row.raw}\t\\N\t\\N\t{row.product}\t{row.published_price}\t{row.sheet}\t{row.given}"


def _printed(text: str) -> str:
    return copy_escape(printable(text))


def _logged(row: Good) -> str:
    return _json(PriceItem(row.product_id, 1, row.currency, None, Decimal(row.published_price), row.category))


def _encoded(lines: list[str]) -> bytes:
    return "".join([f"{line}\n" for line in lines]).encode()


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


PRODUCT = products.COLUMNS
SOURCE_ROW = ("line", "raw")
STAGED = (*SOURCE_ROW, "field", "reason", *PRODUCT, "published_price", "sheet", "given")
PRICE = ("published_price", "sheet", "product_id", "version", "policy_version", "computed_at", "cause", "cause_id")
HISTORY = (
    *(
        "product_id",
        "new_price",
        "currency",
        "version",
        "cause",
        "cause_id",
        "policy_version",
        "trace_id",
        "recorded_at",
    ),
)
_NO_PRODUCT = "\t".join(["\\N"] * (len(PRODUCT) + 3))
