"""Published prices: decided in bulk under row locks, with their history, and read as sheets."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shared.catalogue import products
from shared.catalogue.database import AsyncPool, Conn
from shared.catalogue.policies import ActivePolicy
from shared.errors import NotFound
from shared.fields import ComputedAt, PolicyVersion, TraceId, Version
from shared.pricing.models import CurrencyCode, PriceSheet, ProductInput, Signal
from shared.pricing.repricing import decide, sheet_of
from shared.telemetry import current_trace_id


class Cause(msgspec.Struct, frozen=True):
    """Why a price was decided: `event`, `task`, `write`, `import` or `demo`, and the id of that."""

    kind: str
    id: str


class StoredSheet(msgspec.Struct, frozen=True):
    """A price sheet as stored, in PostgreSQL and in Redis: its JSON, and the version beside it."""

    product_id: str
    version: int
    json: str


class Repriced(msgspec.Struct, frozen=True):
    """The outcome of a decision.

    Attributes:
        sheets: Every product's sheet as it stands now, changed or not, by product id.
        changed: The ids of those that have a new version.
        created: Of those, the ones that had no price before.
    """

    sheets: dict[str, StoredSheet]
    changed: tuple[str, ...]
    created: tuple[str, ...]


class PriceChange(msgspec.Struct, frozen=True):
    """One row of a product's past. Prices are published ones: before market, quantity and membership."""

    version: Version
    old_price: Annotated[Decimal | None, Meta(description="Before; null: it is the first.", examples=["49.90"])]
    new_price: Annotated[Decimal, Meta(description="After.", examples=["47.50"])]
    currency: CurrencyCode
    cause: Annotated[str, Meta(description="event, task, write, import or demo.", examples=["event"])]
    cause_id: Annotated[str, Meta(description="The id of that.", examples=["e-1"])]
    policy_version: PolicyVersion
    trace_id: TraceId
    at: ComputedAt


def write_products(conn: Conn, inputs: Sequence[ProductInput], policy: ActivePolicy, cause: Cause) -> Repriced:
    """Insert or update products and decide their prices, in the caller's transaction.

    A new product gets its first price, version 1; one that is written as it stands causes no work.
    """
    return reprice(conn, products.upsert(conn, inputs), policy, cause)


def reprice(conn: Conn, product_ids: Sequence[str], policy: ActivePolicy, cause: Cause) -> Repriced:
    """Decide the prices of these products anew, in the caller's transaction, with their rows locked.

    Locks are taken in the order of the ids, so that two such calls never deadlock. Unknown ids are passed
    over. A sheet that comes out as it was keeps its version. A task that comes again to a product which it
    decided already changes nothing: it would take a second step where the step limit allows one.
    """
    # The lock is a statement of its own: what one statement reads beside its lock is as old as its start.
    conn.execute(_LOCK, [list(product_ids)])
    rows = conn.execute(_STATE, [list(product_ids)]).fetchall()
    sheets: dict[str, StoredSheet] = {}
    fresh: list[tuple[PriceSheet, PriceSheet | None]] = []
    for row in rows:
        old = msgspec.json.decode(row["sheet"], type=PriceSheet) if row["sheet"] else None
        is_done = cause.kind == "task" and (row["cause"], row["cause_id"]) == (cause.kind, cause.id)
        new = old if old and is_done else _decide(row, old, policy)
        if new == old:
            sheets[new.product_id] = StoredSheet(new.product_id, new.version, row["sheet"])
        else:
            fresh.append((new, old))
    stored = [StoredSheet(new.product_id, new.version, msgspec.json.encode(new).decode()) for new, _ in fresh]
    _write(conn, fresh, stored, cause)
    return Repriced(
        sheets | {sheet.product_id: sheet for sheet in stored},
        changed=tuple(new.product_id for new, _ in fresh),
        created=tuple(new.product_id for new, old in fresh if old is None),
    )


def stored_sheets(conn: Conn, product_ids: Sequence[str]) -> list[StoredSheet]:
    """As `read_sheets`, for the workers."""
    return [StoredSheet(*row.values()) for row in conn.execute(_SHEETS, [list(product_ids)])]


async def read_sheets(pool: AsyncPool, product_ids: Sequence[str]) -> list[StoredSheet]:
    """The sheets of those of the products that exist."""
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


def _decide(row: Mapping[str, Any], old: PriceSheet | None, policy: ActivePolicy) -> PriceSheet:
    """The sheet that follows from a product's state; with a new version where it is not as it was."""
    product = products.product_of(row)
    signals = msgspec.convert(row["signals"], list[Signal])
    # A price in another currency is no measure of how far this one may go.
    previous = old.published_price if old and old.currency == product.currency else None
    new = sheet_of(
        product,
        decide(product, signals, policy.policy, previous),
        version=old.version if old else 1,
        policy_version=policy.version,
        policy=policy.policy,
        computed_at=old.computed_at if old else row["now"],
    )
    if old is None or new == old:
        return new
    return msgspec.structs.replace(new, version=old.version + 1, computed_at=row["now"])


def _write(
    conn: Conn,
    fresh: Sequence[tuple[PriceSheet, PriceSheet | None]],
    stored: Iterable[StoredSheet],
    cause: Cause,
) -> None:
    if not fresh:
        return
    conn.execute(
        _WRITE,
        {
            "product_id": [new.product_id for new, _ in fresh],
            "version": [new.version for new, _ in fresh],
            "old": [old and old.published_price for _, old in fresh],
            "new": [new.published_price for new, _ in fresh],
            "currency": [new.currency for new, _ in fresh],
            "at": [new.computed_at for new, _ in fresh],
            "sheet": [sheet.json for sheet in stored],
            "policy_version": fresh[0][0].policy_version,
            "cause": cause.kind,
            "cause_id": cause.id,
            "trace_id": current_trace_id(),
        },
    )


_SHEETS = "SELECT product_id, version, sheet FROM prices WHERE product_id = ANY(%s)"

# In the order of the bytes, whatever the database's collation: the order in which products are written, too.
_LOCK = """SELECT 1 FROM products WHERE product_id = ANY(%s) ORDER BY product_id COLLATE "C" FOR UPDATE"""

_STATE = """
SELECT p.*, r.sheet, r.cause, r.cause_id, clock_timestamp() AS now, coalesce((
    SELECT jsonb_agg(jsonb_build_object('kind', s.kind, 'source', s.source, 'value', s.value::text,
        'currency', s.currency, 'in_stock', s.in_stock))
    FROM signals s WHERE s.product_id = p.product_id AND s.kind IN ('competitor', 'demand')), '[]') AS signals
FROM products p LEFT JOIN prices r USING (product_id)
WHERE p.product_id = ANY(%s) ORDER BY p.product_id
"""

_WRITE = """
WITH fresh AS (
    SELECT * FROM unnest(%(product_id)s::text[], %(version)s::bigint[], %(old)s::numeric[], %(new)s::numeric[],
        %(currency)s::text[], %(at)s::timestamptz[], %(sheet)s::text[])
    AS f (product_id, version, old_price, new_price, currency, at, sheet)
), written AS (
    INSERT INTO prices AS p (product_id, version, policy_version, published_price, computed_at, cause, cause_id,
        sheet)
    SELECT product_id, version, %(policy_version)s, new_price, at, %(cause)s, %(cause_id)s, sheet FROM fresh
    ON CONFLICT (product_id) DO UPDATE SET version = excluded.version, policy_version = excluded.policy_version,
        published_price = excluded.published_price, computed_at = excluded.computed_at,
        cause = excluded.cause, cause_id = excluded.cause_id, sheet = excluded.sheet
    WHERE p.version < excluded.version
)
INSERT INTO price_history
    (product_id, version, old_price, new_price, currency, cause, cause_id, policy_version, trace_id, at)
SELECT product_id, version, old_price, new_price, currency, %(cause)s, %(cause_id)s, %(policy_version)s,
    %(trace_id)s, at
FROM fresh ON CONFLICT DO NOTHING
"""

_HISTORY = """
SELECT version, old_price, new_price, currency, cause, cause_id, policy_version, trace_id, at
FROM price_history WHERE product_id = %s AND (%s::bigint IS NULL OR version < %s::bigint)
ORDER BY version DESC LIMIT %s
"""
