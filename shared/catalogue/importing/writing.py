"""Writing: staged rows become products with prices; those that were priced before get publication tasks."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, NamedTuple
from uuid import uuid4

import msgspec
from psycopg.rows import tuple_row

from shared.catalogue import policies, prices, products, tasks
from shared.catalogue.database import Conn
from shared.catalogue.importing.staging import COLUMNS
from shared.catalogue.policies import ActivePolicy
from shared.catalogue.prices import Cause
from shared.catalogue.scope import Scope
from shared.messaging import propagation
from shared.pricing.models import PriceSheet
from shared.pricing.repricing import decide, sheet_of
from shared.telemetry import current_trace_id

FIRST_PRICES = 5_000
REPRICED = 1_000
PUBLISHED = 5_000


class Written(NamedTuple):
    """How many products are new, and how many are not as they were."""

    created: int
    changed: int


def upsert(conn: Conn) -> Written:
    """Write the staged products in the order of their ids, so that two imports at once never deadlock.

    What stands in the catalogue as in the file is neither written nor locked.
    """
    conn.execute(_WRITTEN)
    conn.execute(_UPSERT)
    query = "SELECT count(*) FILTER (WHERE is_new) AS created, count(*) AS written FROM import_written"
    found = conn.execute(query).fetchone()
    assert found  # noqa: S101 # an aggregate answers a row
    return Written(found["created"], found["written"] - found["created"])


def price(conn: Conn, advance: Callable[[int], None]) -> None:
    """Decide the prices of what `upsert` wrote.

    Args:
        conn: In the same transaction.
        advance: Called with the number of products after each batch of them.
    """
    policy, cause = policies.active(conn), Cause("import", str(uuid4()))
    for batch in _first_prices(conn, policy):
        _copy_first(conn, batch, cause)
        advance(len(batch))
    waiting: list[str] = []
    for ids in _batches(conn, "SELECT product_id FROM import_written WHERE NOT is_new ORDER BY product_id", REPRICED):
        waiting += prices.reprice(conn, [product_id for (product_id,) in ids], policy, cause).changed
        advance(len(ids))
        while len(waiting) >= PUBLISHED:
            _publish(conn, waiting[:PUBLISHED])
            del waiting[:PUBLISHED]
    if waiting:
        _publish(conn, waiting)


def _first_prices(conn: Conn, policy: ActivePolicy) -> Iterator[list[PriceSheet]]:
    """The sheets of new products: while PostgreSQL takes a batch, the next one is being decided."""
    with ThreadPoolExecutor(1) as ahead:
        ready = None
        for rows in _batches(conn, _NEW, FIRST_PRICES):
            coming = ahead.submit(_decided, rows, policy)
            if ready:
                yield ready.result()
            ready = coming
        if ready:
            yield ready.result()


def _decided(rows: Sequence[tuple[Any, ...]], policy: ActivePolicy) -> list[PriceSheet]:
    return [_first_sheet(row, policy) for row in rows]


def _first_sheet(row: tuple[Any, ...], policy: ActivePolicy) -> PriceSheet:
    """What `prices.reprice` would decide: a product that was not there has neither signals nor a last price."""
    *fields, now = row
    product = products.product_of(dict(zip(COLUMNS, fields, strict=True)))
    decision = decide(product, (), policy.policy, None)
    at: datetime = now
    return sheet_of(
        product, decision, version=1, policy_version=policy.version, policy=policy.policy, computed_at=at
    )


def _copy_first(conn: Conn, sheets: Sequence[PriceSheet], cause: Cause) -> None:
    with conn.cursor().copy(_COPY_PRICES) as copy:
        for sheet in sheets:
            document = msgspec.json.encode(sheet).decode()
            price = sheet.published_price
            copy.write_row((sheet.product_id, 1, sheet.policy_version, price, sheet.computed_at,
                            cause.kind, cause.id, document))  # fmt: skip
    trace_id = current_trace_id()
    with conn.cursor().copy(_COPY_HISTORY) as copy:
        for sheet in sheets:
            copy.write_row((sheet.product_id, 1, sheet.published_price, sheet.currency,
                            cause.kind, cause.id, sheet.policy_version, trace_id, sheet.computed_at))  # fmt: skip


def _publish(conn: Conn, product_ids: Sequence[str]) -> None:
    scope = Scope(product_ids=tuple(product_ids))
    tasks.create(conn, "publication", scope, propagation.current()["traceparent"])


def _batches(conn: Conn, query: str, size: int) -> Iterator[list[tuple[Any, ...]]]:
    with conn.cursor(f"import_{uuid4().hex}", row_factory=tuple_row) as cursor:
        cursor.execute(query.encode())
        while rows := cursor.fetchmany(size):
            yield rows


_NAMES = ", ".join(COLUMNS)
_SETS = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS if name != "product_id")


def _of(table: str) -> str:
    return ", ".join(f"{table}.{name}" for name in COLUMNS)


_WRITTEN = f"""
CREATE TEMPORARY TABLE import_written ON COMMIT DROP AS SELECT {_NAMES}, false AS is_new FROM products WITH NO DATA
"""  # noqa: S608 # only names of columns

# xmax is 0 in a row that was inserted, and names this transaction in one that was there and was locked first.
_UPSERT = f"""
WITH written AS (
    INSERT INTO products AS p ({_NAMES})
    SELECT {_of("r")} FROM import_rows r WHERE r.reason IS NULL AND NOT EXISTS (
        SELECT FROM products o WHERE o.product_id = r.product_id AND ({_of("o")}) IS NOT DISTINCT FROM ({_of("r")}))
    ORDER BY r.product_id
    ON CONFLICT (product_id) DO UPDATE SET {_SETS}, updated_at = clock_timestamp()
    WHERE ({_of("p")}) IS DISTINCT FROM ({_of("excluded")})
    RETURNING {_of("p")}, p.xmax = 0 AS is_new
)
INSERT INTO import_written SELECT * FROM written
"""  # noqa: S608 # only names of columns

_NEW = f"SELECT {_NAMES}, clock_timestamp() FROM import_written WHERE is_new"  # noqa: S608 # only names of columns

_COPY_PRICES = """
COPY prices (product_id, version, policy_version, published_price, computed_at, cause, cause_id, sheet) FROM STDIN
"""

_COPY_HISTORY = """
COPY price_history (product_id, version, new_price, currency, cause, cause_id, policy_version, trace_id, at)
FROM STDIN
"""
