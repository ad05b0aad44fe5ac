"""The entries of price lists: prices of single products, and of single customers."""

from typing import Annotated, Any

import msgspec
from litestar import Request, Router, get, put
from litestar.params import Parameter
from msgspec import Meta

from api import entry_writes
from api.edge.identity import needs
from api.entry_writes import EntriesWritten
from api.http import cursors
from api.http.bodies import StrictBody
from api.http.problems import documented
from api.routes.lists import Cursor, Limit, Next
from api.routes.rule_parts import Confirm
from api.services import Services
from shared.access.keys import LiveKey
from shared.catalogue import price_lists
from shared.errors import InvalidInput
from shared.plans import trial
from shared.plans.changes import Change, EntriesChange
from shared.pricing.entries import EntryInput, EntryWrite
from shared.pricing.product import MAX_ID
from shared.rulebook import revisions

MAX_BODY_BYTES = 16_000_000
Caller = Request[LiveKey, Any, Any]
ListPath = Annotated[str, Parameter(max_length=64, description="The price list's id")]


class NewEntries(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Entries to be written."""

    entries: Annotated[
        list[EntryWrite],
        Meta(
            max_length=10_000,
            description="The entries of each product (and customer) replace those that it has in the list.",
            examples=[[{"product_id": "P-100", "amount": "39.90"}, {"product_id": "P-101", "delete": True}]],
        ),
    ]


class EntryList(msgspec.Struct, frozen=True):
    """A page of entries."""

    items: Annotated[list[EntryInput], Meta(description="In the order of products and customers")]
    next: Next


@get(
    "/price-lists/{list_id:str}/entries",
    guards=[needs("catalogue:read")],
    security=[{"key": ["catalogue:read"]}],
    sync_to_thread=True,
    operation_id="listPriceListEntries",
    responses=documented(401, 403, 404, 422, 503),
    summary="The entries of a price list",
    description="Those of the revision in force, as they were written.",
)
def list_entries(
    services: Services,
    list_id: ListPath,
    product_id: Annotated[str | None, Parameter(min_length=1, max_length=MAX_ID, description="Of this product")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> EntryList:
    """List entries."""
    return page(services, list_id, product_id, limit, cursor)


def page(services: Services, list_id: str, product_id: str | None, limit: int, cursor: str | None) -> EntryList:
    """One page of the entries in force."""
    after: tuple[str, str, int] | None = cursors.decode(cursor, tuple[str, str, int])
    with services.transaction() as conn:
        revision = revisions.in_force(conn, list_id)
        found = price_lists.page(conn, list_id, revision, product_id, limit + 1, after)
    items, last = cursors.split(found, limit)
    return EntryList([entry for _, entry in items], cursors.encode(last[0][:3]) if last else None)


@put(
    "/price-lists/{list_id:str}/entries",
    guards=[needs("rules:write")],
    security=[{"key": ["rules:write"]}],
    dto=StrictBody[NewEntries],
    return_dto=None,
    sync_to_thread=True,
    request_max_body_size=MAX_BODY_BYTES,
    operation_id="putPriceListEntries",
    responses=documented(401, 403, 404, 409, 413, 422, 503),
    summary="Write entries of a price list",
    description="All of them or none, at most 10,000. A product (and customer) may have several entries with different "
    "windows. `delete` deletes its entries. With `replace=true` these are all entries of the list from then on: they "
    "are loaded beside the old ones and put in force by one new version of the rulebook. 409 `plan-first`: they would "
    "move too many prices too far, unless `confirm=true`. A product may have at most 64 "
    "entries without a customer.",
)
def put_entries(
    request: Caller,
    services: Services,
    list_id: ListPath,
    data: NewEntries,
    replace: Annotated[bool, Parameter(description="Replace all entries of the list")] = False,
    confirm: Confirm = False,
) -> EntriesWritten:
    """Write entries."""
    if not confirm and data.entries:
        trial.check(services.transaction, Change(entries=EntriesChange(list=list_id, entries=tuple(data.entries))))
    if not replace:
        return entry_writes.upsert(services, list_id, data.entries)
    for index, entry in enumerate(data.entries):
        if entry.delete:
            raise InvalidInput("must not stand in a replacement; leave the entry out", f"$.entries[{index}].delete")
    return entry_writes.replace(services, list_id, data.entries, request.user.name)


router = Router("/api/v1", route_handlers=[list_entries, put_entries], tags=["Rules"])
