"""Writes of a price list's entries over HTTP: one transaction; a replacement is loaded beside the old entries."""

import time
from collections.abc import Sequence
from typing import Annotated
from uuid import uuid4

from msgspec import Meta, Struct

from api import cache_sync
from api.services import Services
from shared.cache import contracts
from shared.catalogue import listed_products, price_lists
from shared.catalogue.price_lists import EntryRow
from shared.catalogue.product_set import ProductSet
from shared.errors import InvalidInput
from shared.jobs import tasks
from shared.messaging.channel import announce_rulebook
from shared.postgres.pools import Conn
from shared.prices import list_entries
from shared.prices.list_entries import Put, TooManyEntries
from shared.prices.new_versions import Cause
from shared.pricing.entries import EntryWrite
from shared.rulebook import reductions, revisions, store
from shared.rulebook.store import By
from shared.telemetry import propagation


class EntriesWritten(Struct, frozen=True):
    """The answer to a write of entries."""

    version: Annotated[int, Meta(description="The rulebook's version.", examples=[12])]
    changed: Annotated[
        int, Meta(description="Products (and customers) whose entries were written or deleted.", examples=[2])
    ]


def upsert(services: Services, list_id: str, entries: Sequence[EntryWrite]) -> EntriesWritten:
    """Replace the entries of the given products (and customers) in the list, in one transaction.

    Raises:
        NotFound: there is no such list.
        InvalidInput: a product does not exist, or has too many entries.
    """
    with services.transaction() as conn:
        price_lists.lock(conn, list_id)
        version, revision = store.active(conn).version, revisions.in_force(conn, list_id)
        _check_products(conn, entries)
        pairs = {(entry.product_id, entry.customer_id or price_lists.EVERYONE): None for entry in entries}
        changed = price_lists.replace(conn, list_id, revision, pairs, _rows(entries, list_id, revision))
        put = _put(conn, entries, sorted({product_id for product_id, customer_id in changed if not customer_id}))
        claimed = cache_sync.begin(conn, [sheet.product_id for sheet in put.sheets])
        _recalculate(conn, list_id, put)
    cache_sync.run(services, claimed, put.sheets)
    return EntriesWritten(version, len(changed))


def replace(services: Services, list_id: str, entries: Sequence[EntryWrite], author: str) -> EntriesWritten:
    """Replace all entries of the list: a new revision is loaded beside the old one, then put in force by one write.

    Raises:
        NotFound: there is no such list.
        InvalidInput: a product does not exist, or has too many entries.
        Superseded: a later load of the list is in force.
    """
    with services.transaction() as conn:
        former, revision = revisions.in_force(conn, list_id), revisions.begin(conn, list_id)
        _check_products(conn, entries)
        price_lists.add(conn, list_id, revision, _rows(entries, list_id, revision))
        put = _put(conn, entries, sorted({entry.product_id for entry in entries if entry.customer_id is None}))
        claimed = cache_sync.begin(conn, [sheet.product_id for sheet in put.sheets])
    cache_sync.run(services, claimed, put.sheets)
    if any(entry.customer_id is not None for entry in entries):
        time.sleep(contracts.TTL_MS / 1000)  # until no cache holds a contract without the loaded entries
    with services.transaction() as conn:
        made = revisions.switch(conn, list_id, revision, By(author, f"entries of price list {list_id}"))
        changed = listed_products.pairs_of(conn, list_id, [former, revision])
        _recalculate(conn, list_id, put)
    announce_rulebook(services.events, made.version)
    return EntriesWritten(made.version, changed)


def _recalculate(conn: Conn, list_id: str, put: Put) -> None:
    """Decide the products anew whose public reductions may begin or end."""
    if put.sheets and reductions.is_reducing(store.active(conn).rulebook, list_id):
        product_ids = tuple(sheet.product_id for sheet in put.sheets)
        tasks.create(conn, "recalculation", ProductSet(product_ids), propagation.current()["traceparent"])


def _check_products(conn: Conn, entries: Sequence[EntryWrite]) -> None:
    unknown = price_lists.unknown(conn, (entry.product_id for entry in entries if not entry.delete))
    for index, entry in enumerate(entries):
        if entry.product_id in unknown and not entry.delete:
            raise InvalidInput(f"no product {entry.product_id!r}", f"$.entries[{index}].product_id")


def _rows(entries: Sequence[EntryWrite], list_id: str, revision: int) -> list[EntryRow]:
    return [
        price_lists.row_of(entry, list_id, revision, index) for index, entry in enumerate(entries) if not entry.delete
    ]


def _put(conn: Conn, entries: Sequence[EntryWrite], product_ids: Sequence[str]) -> Put:
    try:
        return list_entries.put(conn, product_ids, Cause("write", str(uuid4())))
    except TooManyEntries as error:
        index = next(at for at, entry in enumerate(entries) if entry.product_id in error.product_ids)
        raise InvalidInput(str(error), f"$.entries[{index}]") from None
