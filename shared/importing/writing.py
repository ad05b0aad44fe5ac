"""Writing: staged rows become products with prices; existing products also get `cache_sync` tasks."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from shared.catalogue.product_set import ProductSet
from shared.changes.entries import MOST_PRODUCTS
from shared.importing.checking import PRODUCT
from shared.importing.columns import BITS, NEW_PRODUCT
from shared.jobs import tasks
from shared.postgres.pools import Conn
from shared.prices import inputs, published
from shared.prices.new_versions import Cause
from shared.rulebook.store import ActivePolicy
from shared.telemetry import propagation
from shared.telemetry.tracing import current_trace_id

REPRICED = 1_000
PUBLISHED = 5_000


class Written(NamedTuple):
    """The numbers of new and of changed products."""

    created: int
    changed: int


def upsert(conn: Conn) -> Written:
    """Write the rows that were merged, in the order of their ids, so that two imports at once never deadlock.

    Of a product whose row in the file equals the one in the catalogue, only the time of its stock and cost is set,
    where the file has one of them: events from before cannot change them any more.
    """
    conn.execute(_WRITTEN)
    conn.execute(_UPSERT)
    conn.execute("CREATE INDEX ON import_written (product_id)")
    conn.execute("ANALYZE import_written")
    conn.execute(_RENEW)
    query = "SELECT count(*) FILTER (WHERE is_new) AS created, count(*) AS written FROM import_written"
    found = conn.execute(query).fetchone()
    assert found  # noqa: S101 # an aggregate returns a row
    return Written(found["created"], found["written"] - found["created"])


def note_replaced(conn: Conn, cause: Cause) -> None:
    """Keep the facts that the import changed, for an undo."""
    conn.execute(_NOTE_REPLACED, [cause.id])


def price(conn: Conn, policy: ActivePolicy, at: datetime, cause: Cause) -> None:
    """Store the staged first prices of the new products that `upsert` wrote, and decide the changed ones anew.

    Args:
        conn: In the same transaction.
        policy: The policy of the first prices.
        at: The time of their decision.
        cause: This import.
    """
    decision = {"policy_version": policy.version, "at": at, "cause": cause.kind, "cause_id": cause.id}
    conn.execute(_FIRST_PRICES, decision | {"trace_id": current_trace_id(), "most": MOST_PRODUCTS})
    conn.execute(_WAKE)
    waiting: list[str] = []
    for product_ids in _changed(conn):
        before = inputs.products_before(conn, product_ids, "import_before")
        waiting += published.reprice(conn, product_ids, policy, cause, before).changed
        while len(waiting) >= PUBLISHED:
            _publish(conn, waiting[:PUBLISHED])
            del waiting[:PUBLISHED]
    if waiting:
        _publish(conn, waiting)


def _publish(conn: Conn, product_ids: Sequence[str]) -> None:
    product_set = ProductSet(product_ids=tuple(product_ids))
    tasks.create(conn, "cache_sync", product_set, propagation.current()["traceparent"])


def _changed(conn: Conn) -> Iterator[list[str]]:
    query = b"SELECT product_id FROM import_written WHERE NOT is_new ORDER BY product_id"
    with conn.cursor("import_changed") as cursor:
        cursor.execute(query)
        while rows := cursor.fetchmany(REPRICED):
            yield [row["product_id"] for row in rows]


_NAMES = ", ".join(PRODUCT)
_SETS = ", ".join(f"{name} = excluded.{name}" for name in PRODUCT if name != "product_id")


def _of(table: str) -> str:
    return ", ".join(f"{table}.{name}" for name in PRODUCT)


_WRITTEN = """
CREATE TEMPORARY TABLE import_written ON COMMIT DROP AS
SELECT product_id, currency, false AS is_new FROM products WITH NO DATA
"""

# xmax is 0 in an inserted row; in an existing row it is this transaction, which has locked the row.
_UPSERT = f"""
WITH written AS (
    INSERT INTO products AS p ({_NAMES})
    SELECT {_of("r")} FROM import_rows r WHERE r.reason IS NULL AND (
        EXISTS (SELECT FROM import_before b WHERE b.product_id = r.product_id)
        OR r.given & {NEW_PRODUCT} = {NEW_PRODUCT}
            AND NOT EXISTS (SELECT FROM products o WHERE o.product_id = r.product_id))
    ORDER BY r.product_id COLLATE "C"
    ON CONFLICT (product_id) DO UPDATE SET {_SETS}, updated_at = clock_timestamp()
    WHERE ({_of("p")}) IS DISTINCT FROM ({_of("excluded")})
    RETURNING p.product_id, p.currency, p.xmax = 0 AS is_new
)
INSERT INTO import_written SELECT * FROM written
"""  # noqa: S608 # only names of columns


_STATED = BITS["stock"] | BITS["cost"]
# Another writer's rows are passed over: they get its time. Waiting for them could deadlock, as the rows that this
# import changes are locked already. An array is made once, whatever the planner expects of `products`.
_RENEW = f"""
UPDATE products SET updated_at = clock_timestamp() WHERE product_id = ANY(ARRAY(
    SELECT p.product_id FROM products p JOIN import_rows r USING (product_id)
    WHERE r.reason IS NULL AND r.given & {_STATED} > 0
        AND NOT EXISTS (SELECT FROM import_written w WHERE w.product_id = p.product_id)
    FOR NO KEY UPDATE OF p SKIP LOCKED))
"""  # noqa: S608 # only numbers


def _changed_facts(side: str) -> str:
    """The fields of `o` and `p` that differ, as one of them has them, in JSON."""
    fields = ", ".join(
        f"CASE WHEN o.{name} IS DISTINCT FROM p.{name} "
        f"THEN '\"{name}\":' || coalesce(to_json({side}.{name})::text, 'null') END"
        for name in PRODUCT
        if name != "product_id"
    )
    return "'{' || concat_ws(',', " + fields + ") || '}'"


_NOTE_REPLACED = f"""
INSERT INTO replaced_facts (cause_id, product_id, kind, old, new)
SELECT %s, o.product_id, 'product', {_changed_facts("o")}, {_changed_facts("p")}
FROM import_before o JOIN products p USING (product_id) JOIN import_written w USING (product_id) WHERE NOT w.is_new
"""  # noqa: S608 # only names of columns

# Events that came before their products wait for them.
_WAKE = """
UPDATE repricing_queue SET has_more = true, due_at = clock_timestamp()
WHERE target = ANY(ARRAY(
    SELECT target FROM repricing_queue JOIN (
        SELECT product_id AS target FROM import_written WHERE is_new
        UNION ALL SELECT unnest(product_ids) FROM import_new WHERE EXISTS (SELECT FROM repricing_queue)
    ) AS new USING (target)
    ORDER BY target FOR UPDATE OF repricing_queue)) AND lease_until <= clock_timestamp()
"""

# In the order of the ids: each page of a large index is then written once, and not for each row.
_FIRST_PRICES = """
WITH priced AS (
    INSERT INTO prices (product_id, version, policy_version, published_price, computed_at, cause, cause_id, sheet)
    SELECT r.product_id, coalesce(d.version, 0) + 1, %(policy_version)s, r.published_price, %(at)s, %(cause)s,
        %(cause_id)s, CASE WHEN d.version IS NULL THEN r.sheet
            ELSE jsonb_set(r.sheet::jsonb, '{version}', to_jsonb(d.version + 1))::text END
    FROM import_rows r JOIN import_written w ON w.product_id = r.product_id AND r.reason IS NULL
    LEFT JOIN deleted_prices d ON d.product_id = r.product_id WHERE w.is_new
    ORDER BY r.product_id
    RETURNING product_id, version, published_price
), logged AS (
    INSERT INTO changes (type, data)
    SELECT 'prices', json_agg(json_build_array(product_id, version, currency, NULL, published_price::text, category))
    FROM (SELECT *, (row_number() OVER () - 1) / %(most)s AS part
        FROM priced JOIN import_written USING (product_id) JOIN products USING (product_id, currency)) AS numbered
    GROUP BY part
)
INSERT INTO price_history
    (product_id, version, new_price, currency, cause, cause_id, policy_version, trace_id, recorded_at)
SELECT product_id, version, published_price, currency, %(cause)s, %(cause_id)s, %(policy_version)s, %(trace_id)s, %(at)s
FROM priced JOIN import_written USING (product_id)
ON CONFLICT DO NOTHING
"""
