"""Entries of price lists in price sheets: a sheet whose entries change gets a new version without a new decision."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from msgspec.structs import replace
from psycopg.rows import tuple_row

from shared.catalogue import price_lists, products
from shared.catalogue.failures import ProductFailure
from shared.postgres import arrays
from shared.postgres.pools import Conn
from shared.prices import new_versions
from shared.prices.new_versions import Cause, NewVersion, StoredSheet
from shared.pricing.entries import MOST_ENTRIES, PriceEntry
from shared.pricing.sheet import PriceSheet


class TooManyEntries(Exception):
    """Products have more entries for everyone than a sheet holds."""

    def __init__(self, product_ids: Sequence[str]) -> None:
        super().__init__(f"a product may have at most {MOST_ENTRIES} entries without a customer")
        self.product_ids = product_ids


class Put(NamedTuple):
    """The new versions of sheets, and the products whose sheets cannot be read."""

    sheets: list[StoredSheet]
    failed: list[ProductFailure]


def put(conn: Conn, product_ids: Sequence[str], cause: Cause) -> Put:
    """Bring the entries in the sheets of these products to those of the table, in the caller's transaction.

    Published price, steps and `computed_at` stay. A sheet with these entries keeps its version; products that do not
    exist are left out.

    Raises:
        TooManyEntries: of products with more entries of one revision of each list than a sheet holds.
    """
    products.lock(conn, product_ids)
    entries = price_lists.of_products(conn, product_ids)
    if crowded := sorted(product_id for product_id, found in entries.items() if _count(found) > MOST_ENTRIES):
        raise TooManyEntries(crowded)
    fresh: list[NewVersion] = []
    failed: list[ProductFailure] = []
    with conn.cursor(row_factory=tuple_row) as cursor:
        rows = cursor.execute(_SHEETS, {"ids": arrays.texts(product_ids)}).fetchall()
    for product_id, document, epoch in rows:
        try:
            sheet = _sheet.decode(document)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            failed.append(ProductFailure.of(product_id, error))
            continue
        if (wanted := entries.get(product_id, ())) != sheet.entries:
            changed = replace(sheet, version=sheet.version + 1, entries=wanted)
            fresh.append(NewVersion(changed, epoch, sheet.published_price, cause, old_sheet=document))
    new_versions.write_undecided(conn, fresh)
    return Put([one.stored for one in fresh], failed)


def _count(entries: tuple[PriceEntry, ...]) -> int:
    """The entries of each list's latest revision, which is in force or about to be."""
    if len(entries) <= MOST_ENTRIES:
        return len(entries)
    latest = {entry.list: entry.revision for entry in entries}  # in the order of their revisions
    return sum(entry.revision == latest[entry.list] for entry in entries)


_sheet = msgspec.json.Decoder(PriceSheet)

_SHEETS = """
SELECT product_id, sheet, (SELECT current_epoch()) FROM prices WHERE product_id = ANY(%(ids)s::text[])
ORDER BY product_id
"""
