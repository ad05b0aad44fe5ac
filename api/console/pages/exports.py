"""What a list shows, as a file for a spreadsheet program."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Iterable
from typing import Any

from litestar import get
from litestar.response import Stream

from api.console.pages.products import LISTED
from api.console.product_list import ProductList
from api.edge.identity import needs
from api.services import Services
from shared.catalogue import listing
from shared.catalogue.listing import DetailedProduct, Position
from shared.importing.spreadsheets import protected

# Products of one statement.
BATCH = 1_000
# Those of the page that are computed are left to the spreadsheet program.
COMPUTED = ("change",)


@get("/exports/products.csv", guards=[needs("catalogue:read")], dependencies=LISTED)
async def export_products(services: Services, listed: ProductList) -> Stream:
    """Send all products of the list that the address describes, in its order and with its columns, as CSV."""
    first = await asyncio.to_thread(_batch, services, listed, None)
    headers = {"content-disposition": 'attachment; filename="products.csv"', "cache-control": "no-store"}
    return Stream(_lines(services, listed, first), media_type="text/csv", headers=headers)


async def _lines(services: Services, listed: ProductList, found: list[DetailedProduct]) -> AsyncIterator[str]:
    columns = ["product_id", *(name for name in listed.columns if name not in COMPUTED)]
    yield _csv([columns])
    while found:
        yield _csv([_cell(getattr(one, name)) for name in columns] for one in found)
        if len(found) < BATCH:
            return
        found = await asyncio.to_thread(_batch, services, listed, listed.order.position(found[-1]))


def _batch(services: Services, listed: ProductList, after: Position | None) -> list[DetailedProduct]:
    with services.transaction() as conn:
        return listing.page(conn, listed.search, DetailedProduct, BATCH, after, listed.order)


def _cell(value: Any) -> str:
    """A value as the import reads it."""
    if isinstance(value, list):
        return protected("|".join(value))
    return "" if value is None else protected(str(value))


def _csv(rows: Iterable[Iterable[str]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


HANDLERS = (export_products,)
