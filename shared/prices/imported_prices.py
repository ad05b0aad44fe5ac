"""Public prices of a shop from before this engine: read from a file, stored, and found by product and market."""

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import NamedTuple

from shared.errors import InvalidInput
from shared.postgres import arrays
from shared.postgres.pools import Conn
from shared.pricing import money
from shared.pricing.lowest_price import PublicPrice
from shared.pricing.market import location_key
from shared.pricing.text import clean_text
from shared.wire import amounts

COLUMNS = ("product_id", "market", "at", "price")
REFERENCE = "reference_price"
_BATCH = 10_000

Place = tuple[str, str]
"""A product, and a market as `location_key` writes it."""


class ImportedPrice(NamedTuple):
    """A public price from an instant on; `reference_price`: it was shown as reduced from there."""

    product_id: str
    market: str
    at: datetime
    price: Decimal
    reference_price: Decimal | None


def read(lines: Iterable[str], now: datetime) -> Iterator[ImportedPrice]:
    """The rows of a CSV file with the columns product_id, market, at, price and, optionally, reference_price.

    Raises:
        InvalidInput: another form, or a wrong row; the path names its line.
    """
    reader = csv.reader(lines)
    header = [name.strip() for name in next(reader, [])]
    if header not in ([*COLUMNS], [*COLUMNS, REFERENCE]):
        raise InvalidInput(f"must begin with the columns {','.join(COLUMNS)} and, optionally, {REFERENCE}", "$[1]")
    for cells in reader:
        if cells:
            yield _row(header, [cell.strip() for cell in cells], reader.line_num, now)


def store(conn: Conn, rows: Iterable[ImportedPrice]) -> tuple[int, list[str]]:
    """Store rows; one of the same product, market and instant replaces the former.

    Returns:
        The number of rows, and the products.
    """
    stored, product_ids = 0, dict[str, None]()
    given = iter(rows)
    while batch := list(islice(given, _BATCH)):
        latest = list({(row.product_id, row.market, row.at): row for row in batch}.values())
        conn.execute(_STORE, _columns(latest))
        stored += len(batch)
        product_ids |= dict.fromkeys(row.product_id for row in latest)
    return stored, sorted(product_ids)


def of(conn: Conn, product_ids: Iterable[str], since: datetime, until: datetime) -> dict[Place, list[PublicPrice]]:
    """The public prices of products from `since` to `until`, and the one in force at `since`; the oldest first."""
    found: dict[Place, list[PublicPrice]] = defaultdict(list)
    for row in conn.execute(_OF, {"ids": arrays.texts(product_ids), "since": since, "until": until}):
        public = PublicPrice(at=row["at"], price=row["price"], reference=row["reference_price"])
        found[row["product_id"], row["market"]].append(public)
    return found


def _row(header: Sequence[str], cells: Sequence[str], line: int, now: datetime) -> ImportedPrice:
    if len(cells) != len(header):
        raise InvalidInput(f"must have {len(header)} columns, not {len(cells)}", f"$[{line}]")
    found = dict(zip(header, cells, strict=True))
    for name in ("product_id", "market"):
        if not found[name]:
            raise InvalidInput("must not be empty", f"$[{line}].{name}")
        try:
            clean_text(name, found[name])
        except ValueError as error:
            raise InvalidInput(str(error), f"$[{line}].{name}") from None
    price = _amount(found["price"], f"$[{line}].price")
    reference = _amount(found[REFERENCE], f"$[{line}].{REFERENCE}") if found.get(REFERENCE) else None
    at = _instant(found["at"], f"$[{line}].at", now)
    return ImportedPrice(found["product_id"], location_key(found["market"]), at, price, reference)


def _amount(text: str, path: str) -> Decimal:
    if not amounts.is_plain(text) or not 0 <= Decimal(text) <= money.MAX_AMOUNT:
        raise InvalidInput(f"{amounts.REASON}, not {text[:40]!r}", path)
    return Decimal(text)


def _instant(text: str, path: str, now: datetime) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"must be an instant such as 2026-03-01T12:00:00Z, not {text[:40]!r}", path) from None
    if at.tzinfo is None:
        raise InvalidInput("an instant needs an offset, such as Z", path)
    if at > now:
        raise InvalidInput("must be past", path)
    return at


def _columns(rows: Sequence[ImportedPrice]) -> dict[str, str]:
    return {
        "product_id": arrays.texts(row.product_id for row in rows),
        "market": arrays.texts(row.market for row in rows),
        "at": arrays.texts(row.at.isoformat() for row in rows),
        "price": arrays.numbers(row.price for row in rows),
        "reference_price": arrays.numbers(row.reference_price for row in rows),
    }


_STORE = """
INSERT INTO imported_prices (product_id, market, at, price, reference_price)
SELECT * FROM unnest(%(product_id)s::text[], %(market)s::text[], %(at)s::timestamptz[], %(price)s::numeric[],
    %(reference_price)s::numeric[])
ON CONFLICT (product_id, market, at) DO UPDATE SET price = excluded.price, reference_price = excluded.reference_price
"""

_OF = """
SELECT product_id, market, at, price, reference_price FROM imported_prices i
WHERE product_id = ANY(%(ids)s::text[]) AND at <= %(until)s
    AND at >= coalesce((SELECT max(at) FROM imported_prices b
        WHERE b.product_id = i.product_id AND b.market = i.market AND b.at <= %(since)s), %(since)s)
ORDER BY product_id, market, at
"""
