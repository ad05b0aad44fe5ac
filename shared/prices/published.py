"""Published prices: decided in bulk under row locks, with their history, and read as sheets."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import msgspec
import structlog

from shared.catalogue import price_lists, product_set, products
from shared.catalogue.failures import ProductFailure
from shared.catalogue.product_set import ProductFilter
from shared.postgres import clock
from shared.postgres.pools import AsyncPool, Conn
from shared.prices import breaker, holds, inputs, new_versions, repricing_queue, states
from shared.prices.batches import Batch, CauseOf, Made
from shared.prices.deciding import Setting
from shared.prices.gathering import Gathered, gather
from shared.prices.lowest_prices import LowestPrices
from shared.prices.new_versions import Cause, StoredSheet
from shared.pricing.product import ProductInput
from shared.rulebook.store import ActivePolicy
from shared.telemetry.metrics import PRODUCTS_FAILED, stage
from shared.telemetry.tracing import current_trace_id

log = structlog.get_logger(__name__)
MOST_LOGGED = 10  # of the failed products of one batch
_NO_PRODUCTS: Mapping[str, ProductInput] = {}
_NO_PRICES: Mapping[str, Decimal] = {}


class Repriced(msgspec.Struct, frozen=True):
    """The outcome of a decision.

    Attributes:
        sheets: Every product's current sheet, changed or not, by product id.
        changed: The ids of the products with a new version.
        created: The ids of those among them that had no price before.
        failed: The products that were not decided, because of their own data. Their prices stay as they are.
        by_clock: The number of products that were decided because they were due.
    """

    sheets: dict[str, StoredSheet]
    changed: tuple[str, ...]
    created: tuple[str, ...]
    failed: tuple[ProductFailure, ...] = ()
    by_clock: int = 0


class Deleted(NamedTuple):
    """Deleted products: their deletions as `SheetWriter.put` takes them, and the number of their deleted entries."""

    sheets: tuple[StoredSheet, ...]
    entries: int


def write_products(
    conn: Conn, written: Sequence[ProductInput], policy: ActivePolicy, cause: Cause, at: datetime | None = None
) -> Repriced:
    """Insert or update products and decide their prices, in the caller's transaction.

    A new product gets its first price, version 1. An unchanged product causes no work. A replay of the past gives `at`,
    the instant of the decisions, here and below; None: PostgreSQL's time.
    """
    before = inputs.products_before(conn, [product.product_id for product in written])
    return reprice(conn, products.upsert(conn, written), policy, cause, before, at)


def reprice(
    conn: Conn,
    product_ids: Sequence[str],
    policy: ActivePolicy,
    cause: Cause,
    before: Mapping[str, ProductInput] | None = None,
    at: datetime | None = None,
) -> Repriced:
    """Decide the prices of these products anew, after a write by a person; unknown ids are ignored.

    As `reprice_selected`, except that a current sheet that cannot be read is replaced. Where the write changed the
    target of a product, its decision is the person's; where it changed nothing that a decision reads, none is made.

    Args:
        conn: In the transaction of the write.
        product_ids: The written products.
        policy: The policy.
        cause: The write.
        before: The products before the write; None: automation decides.
        at: As `write_products` has it.
    """
    chosen = product_set.of_ids(product_ids)
    return _reprice(conn, chosen, policy, lambda _: cause, repairs=True, before=before or {}, at=at)


def reprice_selected(
    conn: Conn, chosen: ProductFilter, policy: ActivePolicy, cause: Cause, at: datetime | None = None
) -> Repriced:
    """Decide the prices of products anew, in the caller's transaction, with their rows locked.

    An unchanged sheet keeps its version. A retry skips the products that its cause has decided already: a second
    decision would take a second step where the step limit allows one.
    """
    return _reprice(conn, chosen, policy, lambda _: cause, at=at)


def reprice_each(
    conn: Conn, causes: Mapping[str, Cause | None], policy: ActivePolicy, at: datetime | None = None
) -> Repriced:
    """As `reprice_selected`, with a cause per product, for a worker that holds their targets.

    A product without a cause is decided only where it is due by the clock, and else read.
    """
    return _reprice(conn, product_set.of_ids(list(causes)), policy, causes.__getitem__, is_holder=True, at=at)


def publish(conn: Conn, prices: Mapping[str, Decimal], causes: Mapping[str, Cause], policy: ActivePolicy) -> Repriced:
    """Publish the prices that a person chose, limited by the bounds only."""
    return _reprice(conn, product_set.of_ids(list(prices)), policy, causes.__getitem__, chosen=prices)


def write(
    conn: Conn,
    gathered: Gathered,
    made: Made,
    policy: ActivePolicy,
    cause_of: CauseOf,
    *,
    is_holder: bool = False,
) -> Repriced:
    """Store what was decided about locked products, in the caller's transaction."""
    failed = [*gathered.failed, *made.failed]
    with stage("write"):
        new_versions.write(conn, made.fresh, policy.version, gathered.at)
        states.write(conn, made.kept)
        holds.write(conn, made.held, gathered.at)
        if not is_holder:
            repricing_queue.schedule(conn, made.due(gathered.found))
        created = tuple(one.sheet.product_id for one in made.fresh if one.is_first)
        if created:
            repricing_queue.wake(conn, created)
    _note(failed, cause_of)
    return Repriced(
        made.sheets,
        changed=tuple(one.sheet.product_id for one in made.fresh),
        created=created,
        failed=tuple(failed),
        by_clock=made.by_clock,
    )


def delete(conn: Conn, product_id: str) -> StoredSheet | None:
    """Delete a product with its signals and its price; its history stays. None where there is no such product.

    The deletion takes the product's next version. `SheetWriter.put` of the result removes the sheet from all caches,
    and a product created again under the same id goes on with the version after it.
    """
    return next(iter(delete_all(conn, [product_id]).sheets), None)


def delete_all(conn: Conn, product_ids: Sequence[str], cause: Cause | None = None) -> Deleted:
    """Delete products as `delete` does, those that exist; the history names the cause, or `deletion`."""
    kind, cause_id = ("", "") if cause is None else (cause.kind, cause.id)
    conn.execute(_CAUSE, [current_trace_id(), kind, cause_id])
    ids = sorted(products.lock(conn, product_ids))
    conn.execute("DELETE FROM products WHERE product_id = ANY(%s)", [ids])
    entries = price_lists.delete_products(conn, ids)
    holds.end(conn, ids, clock.now(conn))
    repricing_queue.forget(conn, ids)
    return Deleted(tuple(stored_sheets(conn, ids)), entries)


def stored_sheets(conn: Conn, product_ids: Sequence[str]) -> list[StoredSheet]:
    """The sheets of the products that exist, and the deletions of those that do not exist any more."""
    ids = list(product_ids)
    return [StoredSheet(*row.values()) for row in conn.execute(_SHEETS_AND_DELETIONS, [ids, ids])]


async def read_sheets(pool: AsyncPool, product_ids: Sequence[str]) -> list[StoredSheet]:
    """The sheets of the products that exist."""
    async with pool.connection() as conn:
        cursor = await conn.execute(_SHEETS, [list(product_ids)])
        return [StoredSheet(*row.values()) for row in await cursor.fetchall()]


def _reprice(
    conn: Conn,
    selected: ProductFilter,
    policy: ActivePolicy,
    cause_of: CauseOf,
    *,
    repairs: bool = False,
    before: Mapping[str, ProductInput] = _NO_PRODUCTS,
    chosen: Mapping[str, Decimal] = _NO_PRICES,
    is_holder: bool = False,
    at: datetime | None = None,
) -> Repriced:
    with stage("read"):
        gathered = gather(conn, selected, repairs=repairs, at=at)
    lowest = LowestPrices(gathered.terms, gathered.at)
    setting = gathered.setting(policy, before, chosen)._replace(lowest=lowest)
    batch = Batch(gathered, cause_of, is_holder=is_holder)
    with stage("decide"):
        made = _decided(conn, batch, setting)
    return write(conn, gathered, made, policy, cause_of, is_holder=is_holder)


def _decided(conn: Conn, batch: Batch, setting: Setting) -> Made:
    """The decisions of a batch, by the breaker as it is when they are committed."""
    made = batch.decide(setting)
    if made.is_stopped and not breaker.is_still_open(conn):
        setting = setting._replace(is_stopped=False)
        made = batch.decide(setting)
    if made.counted and not breaker.passes(conn, setting.rules.breaker, made.counted, setting.at):
        setting = setting._replace(is_stopped=True)
        made = batch.decide(setting)
    if setting.lowest is not None and not setting.lowest.are_all_found:
        del made  # some megabytes, which the search needs
        setting.lowest.find(conn)
        made = batch.decide(setting)
    return made


def _note(failed: Sequence[ProductFailure], cause_of: CauseOf) -> None:
    for number, failure in enumerate(failed):
        cause = cause_of(failure.product_id)
        PRODUCTS_FAILED.labels(cause.kind if cause else "event").inc()
        if number < MOST_LOGGED:
            log.error("product failed", product_id=failure.product_id, reason=failure.reason, failed=len(failed))


_CAUSE = """
SELECT set_config('pricing.trace_id', %s, true), set_config('pricing.cause', %s, true),
    set_config('pricing.cause_id', %s, true)
"""

# Read with the sheets, in one snapshot. The subquery runs once a statement.
_SHEETS = "SELECT product_id, version, sheet, (SELECT current_epoch()) AS epoch FROM prices WHERE product_id = ANY(%s)"

_SHEETS_AND_DELETIONS = f"""{_SHEETS} UNION ALL
SELECT product_id, version, '', (SELECT current_epoch()) FROM deleted_prices d WHERE product_id = ANY(%s)
    AND NOT EXISTS (SELECT FROM prices p WHERE p.product_id = d.product_id)
"""  # noqa: S608 # only our own parts
