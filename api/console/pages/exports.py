"""What a list shows, as a file for a spreadsheet program."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Iterable
from typing import Annotated

from litestar import get
from litestar.params import Parameter
from litestar.response import Stream

from api.edge.identity import needs
from api.services import Services
from shared.catalogue import listing
from shared.catalogue.listing import ListedProduct, Search
from shared.importing.spreadsheets import protected
from shared.pricing.product import MAX_CATEGORY

# Products of one statement.
BATCH = 1_000
COLUMNS = ("product_id", "name", "category", "currency", "base_price", "published_price")


@get("/exports/products.csv", guards=[needs("catalogue:read")])
async def export_products(
    services: Services,
    q: Annotated[str, Parameter(max_length=200)] = "",
    category: Annotated[str, Parameter(max_length=MAX_CATEGORY)] = "",
    tag: Annotated[str, Parameter(max_length=64)] = "",
) -> Stream:
    """Send all products that fit the filters, as CSV."""
    search = Search(words=q.strip() or None, category=category or None, tag=tag or None)
    first = await asyncio.to_thread(_batch, services, search, None)
    headers = {"content-disposition": 'attachment; filename="products.csv"', "cache-control": "no-store"}
    return Stream(_lines(services, search, first), media_type="text/csv", headers=headers)


async def _lines(services: Services, search: Search, found: list[ListedProduct]) -> AsyncIterator[str]:
    yield _csv([COLUMNS])
    while found:
        yield _csv([protected(str(getattr(one, name))) for name in COLUMNS] for one in found)
        if len(found) < BATCH:
            return
        found = await asyncio.to_thread(_batch, services, search, found[-1].product_id)


def _batch(services: Services, search: Search, after: str | None) -> list[ListedProduct]:
    with services.transaction() as conn:
        return listing.page(conn, search, BATCH, after)


def _csv(rows: Iterable[Iterable[str]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


HANDLERS = (export_products,)
