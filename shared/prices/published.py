"""Published prices: decided in bulk under row locks, with their history, and read as sheets."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta

from shared.catalogue import product_set, products
from shared.catalogue.product_set import ProductFilter
from shared.errors import NotFound
from shared.postgres import arrays
from shared.postgres.pools import AsyncPool, Conn
from shared.prices import inputs
from shared.prices.inputs import PricingInputs
from shared.pricing.currencies import CurrencyCode
from shared.pricing.decision import decide, sheet_of
from shared.pricing.product import ProductInput
from shared.pricing.sheet import PriceSheet
from shared.rulebook.store import ActivePolicy
from shared.telemetry.metrics import stage
from shared.telemetry.tracing import current_trace_id
from shared.wire.fields import ComputedAt, PolicyVersion, TraceId, Version


class Cause(msgspec.Struct, frozen=True):
    """The cause of a decision: `event`, `task`, `write`, `import` or `demo`, and its id.

    Attributes:
        trace_id: The trace of the cause; empty: the current one.
        is_retry: Whether an earlier attempt may have decided some of the products.
    """

    kind: str
    id: str
    trace_id: str = ""
    is_retry: bool = False


class StoredSheet(msgspec.Struct, frozen=True):
    """A price sheet as stored in PostgreSQL and in Redis: its JSON and its version.

    Attributes:
        json: Empty where the product was deleted; the version is then that of its deletion.
        epoch: The database's epoch when the sheet was read or written there.
    """

    product_id: str
    version: int
    json: str
    epoch: int = 0


class Repriced(msgspec.Struct, frozen=True):
    """The outcome of a decision.

    Attributes:
        sheets: Every product's current sheet, changed or not, by product id.
        changed: The ids of the products with a new version.
        created: The ids of those among them that had no price before.
    """

    sheets: dict[str, StoredSheet]
    changed: tuple[str, ...]
    created: tuple[str, ...]


class PriceChange(msgspec.Struct, frozen=True):
    """One row of the price history. Prices are published ones: before market, quantity and membership."""

    version: Version
    old_price: Annotated[
        Decimal | None, Meta(description="The price before; null: this is the first.", examples=["49.90"])
    ]
    new_price: Annotated[Decimal, Meta(description="The price after.", examples=["47.50"])]
    currency: CurrencyCode
    cause: Annotated[str, Meta(description="event, task, write, import or demo.", examples=["event"])]
    cause_id: Annotated[str, Meta(description="The id of the cause.", examples=["e-1"])]
    policy_version: PolicyVersion
    trace_id: TraceId
    at: ComputedAt


def write_products(conn: Conn, inputs: Sequence[ProductInput], policy: ActivePolicy, cause: Cause) -> Repriced:
    """Insert or update products and decide their prices, in the caller's transaction.

    A new product gets its first price, version 1. An unchanged product causes no work.
    """
    return reprice(conn, products.upsert(conn, inputs), policy, cause)


def reprice(conn: Conn, product_ids: Sequence[str], policy: ActivePolicy, cause: Cause) -> Repriced:
    """Decide the prices of these products anew, as `reprice_selected`; unknown ids are ignored."""
    return reprice_selected(conn, product_set.of_ids(product_ids), policy, cause)


def reprice_selected(conn: Conn, chosen: ProductFilter, policy: ActivePolicy, cause: Cause) -> Repriced:
    """Decide the prices of products anew, in the caller's transaction, with their rows locked.

    An unchanged sheet keeps its version. A retry skips the products that its cause has decided already: a second
    decision would take a second step where the step limit allows one.
    """
    return _reprice(conn, chosen, policy, lambda _: cause)


def reprice_each(conn: Conn, causes: Mapping[str, Cause | None], policy: ActivePolicy) -> Repriced:
    """As `reprice_selected`, with a cause per product; a product without a cause is read, and not decided."""
    return _reprice(conn, product_set.of_ids(list(causes)), policy, causes.__getitem__)


def delete(conn: Conn, product_id: str) -> StoredSheet | None:
    """Delete a product with its signals and its price; its history stays. None where there is no such product.

    The deletion takes the product's next version. `SheetWriter.put` of the result removes the sheet from all caches,
    and a product created again under the same id goes on with the version after it.
    """
    if not conn.execute("DELETE FROM products WHERE product_id = %s", [product_id]).rowcount:
        return None
    return next(iter(stored_sheets(conn, [product_id])), None)


def stored_sheets(conn: Conn, product_ids: Sequence[str]) -> list[StoredSheet]:
    """The sheets of the products that exist, and the deletions of those that do not exist any more."""
    ids = list(product_ids)
    return [StoredSheet(*row.values()) for row in conn.execute(_SHEETS_AND_DELETIONS, [ids, ids])]


async def read_sheets(pool: AsyncPool, product_ids: Sequence[str]) -> list[StoredSheet]:
    """The sheets of the products that exist."""
    async with pool.connection() as conn:
        cursor = await conn.execute(_SHEETS, [list(product_ids)])
        return [StoredSheet(*row.values()) for row in await cursor.fetchall()]


def history(conn: Conn, product_id: str, limit: int, before_version: int | None) -> list[PriceChange]:
    """A product's past prices, newest first.

    Raises:
        NotFound: no such product.
    """
    rows = conn.execute(_HISTORY, [product_id, before_version, before_version, limit]).fetchall()
    if not rows and not conn.execute("SELECT 1 FROM products WHERE product_id = %s", [product_id]).fetchone():
        raise NotFound(f"no product {product_id!r}")
    return [PriceChange(**row) for row in rows]


def _reprice(
    conn: Conn, chosen: ProductFilter, policy: ActivePolicy, cause_of: Callable[[str], Cause | None]
) -> Repriced:
    with stage("read"):
        found = inputs.lock_and_read(conn, chosen)
        now, epoch = _now(conn)
    sheets: dict[str, StoredSheet] = {}
    fresh: list[_NewVersion] = []
    with stage("decide"):
        for state in found:
            product_id = state.product.product_id
            cause = cause_of(product_id)
            decided = None if cause is None or _is_decided(state, cause) else _decide(state, policy, now, epoch, cause)
            if decided is not None:
                fresh.append(decided)
                sheets[product_id] = decided.stored
            elif state.sheet is not None and state.last is not None:
                sheets[product_id] = StoredSheet(product_id, state.last.version, state.sheet, epoch)
    with stage("write"):
        _write(conn, fresh, policy.version, now)
    return Repriced(
        sheets,
        changed=tuple(one.sheet.product_id for one in fresh),
        created=tuple(one.sheet.product_id for one in fresh if one.is_first),
    )


def _is_decided(state: PricingInputs, cause: Cause) -> bool:
    """Whether an earlier attempt of this cause has decided the product."""
    return cause.is_retry and state.cause == (cause.kind, cause.id)


def _now(conn: Conn) -> tuple[datetime, int]:
    """The time and the epoch."""
    row = conn.execute("SELECT clock_timestamp() AS now, current_epoch() AS epoch").fetchone()
    assert row  # noqa: S101 # the query always returns a row
    return row["now"], row["epoch"]


def _decide(
    state: PricingInputs, policy: ActivePolicy, now: datetime, epoch: int, cause: Cause
) -> "_NewVersion | None":
    """The new version of a product's sheet; None where the sheet is unchanged."""
    product, last = state.product, state.last
    # The step limit does not apply to a price in another currency.
    previous = last.published_price if last and last.currency == product.currency else None
    decision = decide(product, state.signals, policy.policy, previous)

    def sheet(version: int, computed_at: datetime) -> PriceSheet:
        return sheet_of(
            product,
            decision,
            version=version,
            policy_version=policy.version,
            policy=policy.policy,
            computed_at=computed_at,
        )

    if last is None or state.sheet is None:
        return _NewVersion(sheet(state.deleted_version + 1, now), epoch, None, cause, is_first=True)
    is_same_price = decision.published_price == last.published_price
    if is_same_price and _is_same(sheet(last.version, last.computed_at), state.sheet):
        return None
    return _NewVersion(sheet(last.version + 1, now), epoch, last.published_price, cause)


def _is_same(sheet: PriceSheet, stored: str) -> bool:
    """Whether a sheet equals a stored one; equal amounts may have other trailing zeros."""
    return msgspec.json.encode(sheet).decode() == stored or sheet == msgspec.json.decode(stored, type=PriceSheet)


class _NewVersion:
    """A sheet of a new version, to be stored; `is_first`: the product had no price before."""

    def __init__(
        self, sheet: PriceSheet, epoch: int, old_price: Decimal | None, cause: Cause, *, is_first: bool = False
    ) -> None:
        self.sheet, self.old_price, self.cause, self.is_first = sheet, old_price, cause, is_first
        self.stored = StoredSheet(sheet.product_id, sheet.version, msgspec.json.encode(sheet).decode(), epoch)


def _write(conn: Conn, fresh: Sequence[_NewVersion], policy_version: int, now: datetime) -> None:
    decision = {"policy_version": policy_version, "at": now}
    for query, batch in (
        (_INSERT, [one for one in fresh if one.is_first]),
        (_UPDATE, [one for one in fresh if not one.is_first]),
    ):
        if batch:
            conn.execute(query, _columns(batch) | decision)


def _columns(batch: Sequence[_NewVersion]) -> dict[str, str]:
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
        "sheet": arrays.texts(one.stored.json for one in batch),
    }


# Read with the sheets, in one snapshot. The subquery runs once a statement.
_SHEETS = "SELECT product_id, version, sheet, (SELECT current_epoch()) AS epoch FROM prices WHERE product_id = ANY(%s)"

_SHEETS_AND_DELETIONS = f"""{_SHEETS} UNION ALL
SELECT product_id, version, '', (SELECT current_epoch()) FROM deleted_prices d WHERE product_id = ANY(%s)
    AND NOT EXISTS (SELECT FROM prices p WHERE p.product_id = d.product_id)
"""  # noqa: S608 # only our own parts

_FRESH = """
WITH fresh AS MATERIALIZED (
    SELECT * FROM unnest(%(product_id)s::text[], %(version)s::bigint[], %(old)s::numeric[], %(new)s::numeric[],
        %(currency)s::text[], %(cause)s::text[], %(cause_id)s::text[], %(trace_id)s::text[], %(sheet)s::text[])
    AS f (product_id, version, old_price, new_price, currency, cause, cause_id, trace_id, sheet)
), """

_PAST = """
INSERT INTO price_history
    (product_id, version, old_price, new_price, currency, cause, cause_id, policy_version, trace_id, recorded_at)
SELECT product_id, version, old_price, new_price, currency, cause, cause_id, %(policy_version)s, trace_id, %(at)s
FROM {}
"""

_INSERT = f"""{_FRESH} written AS (
    INSERT INTO prices (product_id, version, policy_version, published_price, computed_at, cause, cause_id, sheet)
    SELECT product_id, version, %(policy_version)s, new_price, %(at)s, cause, cause_id, sheet FROM fresh
) {_PAST.format("fresh")}"""  # noqa: S608 # only our own parts

_UPDATE = f"""{_FRESH} written AS (
    UPDATE prices p SET version = f.version, policy_version = %(policy_version)s, published_price = f.new_price,
        computed_at = %(at)s, cause = f.cause, cause_id = f.cause_id, sheet = f.sheet
    FROM fresh f WHERE p.product_id = f.product_id AND p.version < f.version
    RETURNING f.*
) {_PAST.format("written")}"""  # noqa: S608 # only our own parts

_HISTORY = """
SELECT version, old_price, new_price, currency, cause, cause_id, policy_version, trace_id, recorded_at AS at
FROM price_history WHERE product_id = %s AND (%s::bigint IS NULL OR version < %s::bigint)
ORDER BY version DESC LIMIT %s
"""
