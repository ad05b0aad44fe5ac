"""Reads the log of changes, and appends to it."""

from decimal import Decimal

import msgspec

from shared.changes import entries, log
from shared.changes.entries import ChangedPrice, Event, Wanted
from shared.changes.log import Part
from shared.postgres.pools import Conn, Pool

EVERYTHING = Wanted()


def given(pool: Pool) -> int:
    """Give ids to all that waits; the last id."""
    while True:
        with pool.connection() as conn:
            if not log.give_ids(conn):
                return log.position(conn).last


def after(pool: Pool, change_id: int, wanted: Wanted = EVERYTHING) -> list[Event]:
    """The events behind an id; ids are given first."""
    given(pool)
    with pool.connection() as conn:
        found = log.read(conn, Part(change_id, limit=10_000, most_bytes=100_000_000))
    return [event for entry in found if (event := entries.event(entry, wanted))]


def append(conn: Conn, product_id: str) -> None:
    item = entries.PriceItem(product_id, 1, "EUR", None, Decimal(1), "none")
    log.append_prices(conn, msgspec.json.encode(item) + b"\n")


def changed(pool: Pool, change_id: int) -> list[list[ChangedPrice]]:
    return [event.changes for event in after(pool, change_id) if isinstance(event, entries.PricesChanged)]
