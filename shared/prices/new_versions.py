"""New versions of price sheets, as they are stored: the current sheet is replaced, the history grows."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from shared.changes import log
from shared.changes.entries import MOST_PRODUCTS, PriceItem, priced
from shared.postgres import arrays
from shared.postgres.pools import Conn
from shared.prices.packing import packed
from shared.pricing.sheet import PriceSheet
from shared.telemetry.tracing import current_trace_id


class Cause(msgspec.Struct, frozen=True):
    """The cause of a decision, and its id.

    Attributes:
        kind: `event`, `task`, `clock`, `write`, `import`, `approval`, `manual_price`, `plan` or `demo`.
        trace_id: The trace of the cause; empty: the current one.
        is_retry: Whether an earlier attempt may have decided some of the products.
        key_ids: The keys that asked for it.
    """

    kind: str
    id: str
    trace_id: str = ""
    is_retry: bool = False
    key_ids: tuple[int, ...] = ()


class StoredSheet(msgspec.Struct, frozen=True, gc=False):
    """A price sheet as stored in PostgreSQL and in Redis: its JSON and its version.

    Attributes:
        json: Empty where the product was deleted; the version is then that of its deletion.
        epoch: The database's epoch when the sheet was read or written there.
    """

    product_id: str
    version: int
    json: str
    epoch: int = 0


class NewVersion:
    """A sheet of a new version, to be stored, and what it replaces; `is_first`: the product had no price before."""

    __slots__ = ("cause", "is_first", "next_due", "old_price", "old_sheet", "sheet", "state", "stored")

    def __init__(
        self,
        sheet: PriceSheet,
        epoch: int,
        old_price: Decimal | None,
        cause: Cause,
        *,
        old_sheet: str | None = None,
        is_first: bool = False,
        state: str = "",
        next_due: datetime | None = None,
    ) -> None:
        self.sheet, self.old_price, self.cause, self.is_first = sheet, old_price, cause, is_first
        self.old_sheet = old_sheet
        self.state, self.next_due = state, next_due
        self.stored = StoredSheet(sheet.product_id, sheet.version, msgspec.json.encode(sheet).decode(), epoch)


def write(conn: Conn, fresh: Sequence[NewVersion], policy_version: int, now: datetime) -> None:
    """Store new versions of sheets, and append them to the price history and to the log of changes."""
    decision = {"policy_version": policy_version, "at": now}
    for query, batch in (
        (_INSERT, [one for one in fresh if one.is_first]),
        (_UPDATE, [one for one in fresh if not one.is_first]),
    ):
        for part in _parts(batch):
            conn.execute(query, _columns(part) | decision)


def write_undecided(conn: Conn, fresh: Sequence[NewVersion]) -> None:
    """As `write`, for sheets that stand on the decision before."""
    for part in _parts(fresh):
        conn.execute(_UPDATE_UNDECIDED, _columns(part))


def _parts(batch: Sequence[NewVersion]) -> Iterator[Sequence[NewVersion]]:
    """The batch in parts that one entry of the log holds."""
    return (batch[start : start + MOST_PRODUCTS] for start in range(0, len(batch), MOST_PRODUCTS))


def _item(one: NewVersion) -> PriceItem:
    sheet = one.sheet
    return PriceItem(
        sheet.product_id, sheet.version, sheet.currency, one.old_price, sheet.published_price, sheet.category
    )


def _columns(batch: Sequence[NewVersion]) -> dict[str, Any]:
    trace_id = current_trace_id()
    return {
        "product_id": arrays.texts(one.sheet.product_id for one in batch),
        "version": arrays.numbers(one.sheet.version for one in batch),
        "old": arrays.numbers(one.old_price for one in batch),
        "new": arrays.numbers(one.sheet.published_price for one in batch),
        "currency": arrays.texts(one.sheet.currency for one in batch),
        "cause": arrays.texts(one.cause.kind for one in batch),
        "cause_id": arrays.texts(one.cause.id for one in batch),
        "trace_id": arrays.texts(one.cause.trace_id or trace_id for one in batch),
        "sheet": arrays.Documents(one.stored.json for one in batch),
        "old_sheet": arrays.Blobs(None if one.old_sheet is None else packed(one.old_sheet) for one in batch),
        "state": arrays.Documents(one.state for one in batch),
        "next_due": arrays.instants(one.next_due for one in batch),
        "logged": priced(map(_item, batch)),
    }


# Read once by an update, which then takes it row by row; read twice by an insert, which keeps it.
_FRESH = f"""
WITH fresh AS (
    SELECT * FROM unnest(%(product_id)s::text[], %(version)s::bigint[], %(old)s::numeric[], %(new)s::numeric[],
        %(currency)s::text[], %(cause)s::text[], %(cause_id)s::text[], %(trace_id)s::text[], %(sheet)s::text[],
        %(old_sheet)s::bytea[], %(state)s::text[], %(next_due)s::timestamptz[])
    AS f (product_id, version, old_price, new_price, currency, cause, cause_id, trace_id, sheet, old_sheet, state,
        next_due)
), {log.PRICES_LOGGED}, """  # noqa: S608 # only our own parts

# The sheet and the state of a row stay behind: they would be copied once more.
_WRITTEN = """f.product_id, f.version, f.old_price, f.new_price, f.currency, f.cause, f.cause_id, f.trace_id,
    f.old_sheet"""
_PAST = """
INSERT INTO price_history (product_id, version, old_price, new_price, currency, cause, cause_id, policy_version,
    trace_id, recorded_at, old_sheet)
SELECT product_id, version, old_price, new_price, currency, cause, cause_id, {policy_version}, trace_id, {at}, old_sheet
FROM {rows}
"""
_DECIDED = {"policy_version": "%(policy_version)s", "at": "%(at)s"}

_INSERT = f"""{_FRESH} written AS (
    INSERT INTO prices (product_id, version, policy_version, published_price, computed_at, cause, cause_id, sheet,
        state, next_due)
    SELECT product_id, version, %(policy_version)s, new_price, %(at)s, cause, cause_id, sheet, state, next_due
    FROM fresh
) {_PAST.format(rows="fresh", **_DECIDED)}"""  # noqa: S608 # only our own parts

_UPDATE = f"""{_FRESH} written AS (
    UPDATE prices p SET version = f.version, policy_version = %(policy_version)s, published_price = f.new_price,
        computed_at = %(at)s, cause = f.cause, cause_id = f.cause_id, sheet = f.sheet,
        state = f.state, next_due = f.next_due
    FROM fresh f WHERE p.product_id = f.product_id AND p.version < f.version
    RETURNING {_WRITTEN}
) {_PAST.format(rows="written", **_DECIDED)}"""  # noqa: S608 # only our own parts

# The cause of a price is that of its decision.
_UPDATE_UNDECIDED = f"""{_FRESH} written AS (
    UPDATE prices p SET version = f.version, sheet = f.sheet
    FROM fresh f WHERE p.product_id = f.product_id AND p.version < f.version
    RETURNING {_WRITTEN}, p.policy_version
) {_PAST.format(rows="written", policy_version="policy_version", at="clock_timestamp()")}"""  # noqa: S608 # only our own parts
