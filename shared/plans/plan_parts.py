"""The parts of plans: what each partition planned, product by product."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from shared.plans.store import Plan
from shared.plans.sums import Sums
from shared.postgres import arrays
from shared.postgres.pools import Conn


class Item(NamedTuple):
    """A product that a plan concerns. `market` is empty for the published price; `undo`: what an undo does with it."""

    product_id: str
    market: str
    category: str
    currency: str
    old_price: Decimal | None
    new_price: Decimal | None
    change: Decimal
    held: Decimal | None = None
    bound: str | None = None
    undo: str | None = None


class Part(msgspec.Struct, frozen=True):
    """What one partition planned.

    Attributes:
        as_of: The instant of its decisions.
        versions: The version of each product's sheet; 0: it had none.
    """

    as_of: datetime
    versions: dict[str, int]
    sums: Sums
    items: list[Item] = []


class Stored(NamedTuple):
    """A part as an application reads it: the planned prices are those of the products that move; None: deleted."""

    as_of: datetime
    versions: dict[str, int]
    prices: dict[str, Decimal | None]


def add(conn: Conn, plan: Plan, number: int, first: str, before: str | None, part: Part) -> None:
    """Store what a partition planned, in the transaction that ends it."""
    key = {"plan_id": plan.plan_id, "number": number, "first": first, "before": before}
    values = {
        "as_of": part.as_of,
        "ids": arrays.texts(part.versions),
        "versions": arrays.numbers(part.versions.values()),
        "sums": msgspec.json.encode(part.sums).decode(),
    }
    conn.execute(_ADD_PART, key | values)
    if part.items:
        columns = _columns(part.items)
        conn.execute(_ADD_ITEMS, columns | {"plan_id": plan.plan_id, "planned_at": plan.created_at})


def stored(conn: Conn, plan: Plan, number: int) -> Stored:
    """A part with its planned prices."""
    row = conn.execute(_PART, {"plan_id": plan.plan_id, "number": number}).fetchone()
    if row is None:
        raise LookupError(f"part {number} of plan {plan.plan_id} has gone")
    ids = row["product_ids"]
    moved = conn.execute(_PRICES, {"plan_id": plan.plan_id, "ids": ids, "planned_at": plan.created_at})
    return Stored(
        row["as_of"],
        dict(zip(ids, row["versions"], strict=True)),
        {each["product_id"]: each["new_price"] for each in moved},
    )


def sums(conn: Conn, plan: Plan) -> Sums:
    """The sums of all parts."""
    total = Sums()
    with conn.cursor() as cursor:
        for row in cursor.stream(_SUMS, [plan.plan_id]):
            total.merge(msgspec.json.decode(row["sums"], type=Sums))
    return total


def note_redecided(conn: Conn, plan: Plan, items: Sequence[Item]) -> None:
    """Note the prices that an application published in place of the planned ones; `new_price` has them."""
    if items:
        columns = _columns(items)
        conn.execute(_NOTE_REDECIDED, columns | {"plan_id": plan.plan_id, "planned_at": plan.created_at})


def changed_share(conn: Conn, plan: Plan, most_parts: int = 100) -> Decimal:
    """The share of the plan's sheets that changed since; of many parts, that of evenly spread ones."""
    row = conn.execute(_CHANGED, {"plan_id": plan.plan_id, "most": most_parts}).fetchone()
    if row is None or not row["sheets"]:
        return Decimal(0)
    return Decimal(row["changed"]) / Decimal(row["sheets"])


def _columns(items: Sequence[Item]) -> dict[str, Any]:
    """The columns of items as arrays, where an empty text stands for none."""
    texts = {name: arrays.texts(getattr(item, name) or "" for item in items) for name in _TEXTS}
    return texts | {name: arrays.numbers(getattr(item, name) for item in items) for name in _NUMBERS}


_TEXTS = ("product_id", "market", "category", "currency", "bound", "undo")
_NUMBERS = ("old_price", "new_price", "change", "held")

_ADD_PART = """
INSERT INTO plan_parts (plan_id, number, first, before, as_of, product_ids, versions, sums)
VALUES (%(plan_id)s, %(number)s, %(first)s, %(before)s, %(as_of)s, %(ids)s::text[], %(versions)s::bigint[], %(sums)s)
"""

_ITEMS = """(
    SELECT product_id, market, category, currency, old_price, new_price, change, held, nullif(bound, '') AS bound,
        nullif(undo, '') AS undo
    FROM unnest(%(product_id)s::text[], %(market)s::text[], %(category)s::text[], %(currency)s::text[],
        %(old_price)s::numeric[], %(new_price)s::numeric[], %(change)s::numeric[], %(held)s::numeric[],
        %(bound)s::text[], %(undo)s::text[])
    AS u (product_id, market, category, currency, old_price, new_price, change, held, bound, undo)) AS f"""

_ADD_ITEMS = f"""
INSERT INTO plan_items (planned_at, plan_id, product_id, market, category, currency, old_price, new_price, change,
    held, bound, undo)
SELECT %(planned_at)s, %(plan_id)s, f.* FROM {_ITEMS}
"""  # noqa: S608 # only our own parts

_PART = "SELECT as_of, product_ids, versions FROM plan_parts WHERE plan_id = %(plan_id)s AND number = %(number)s"

_PRICES = """
SELECT product_id, new_price FROM plan_items
WHERE plan_id = %(plan_id)s AND planned_at = %(planned_at)s AND product_id = ANY(%(ids)s) AND market = ''
"""

_SUMS = "SELECT sums::text FROM plan_parts WHERE plan_id = %s ORDER BY number"

_NOTE_REDECIDED = f"""
WITH f AS MATERIALIZED (SELECT * FROM {_ITEMS}), noted AS (
    UPDATE plan_items i SET redecided = f.new_price FROM f
    WHERE i.plan_id = %(plan_id)s AND i.planned_at = %(planned_at)s AND i.product_id = f.product_id AND i.market = ''
    RETURNING i.product_id
)
INSERT INTO plan_items (planned_at, plan_id, product_id, category, currency, old_price, new_price, change, redecided)
SELECT %(planned_at)s, %(plan_id)s, product_id, category, currency, old_price, old_price, 0, new_price FROM f
WHERE product_id NOT IN (SELECT product_id FROM noted)
"""  # noqa: S608 # only our own parts

_CHANGED = """
WITH chosen AS (
    SELECT product_ids, versions FROM plan_parts
    WHERE plan_id = %(plan_id)s AND number %% (
        SELECT greatest(1, (count(*) - 1) / %(most)s + 1) FROM plan_parts WHERE plan_id = %(plan_id)s) = 0)
SELECT count(*) AS sheets, count(*) FILTER (WHERE p.version IS DISTINCT FROM nullif(s.version, 0)) AS changed
FROM chosen c, unnest(c.product_ids, c.versions) AS s (product_id, version) LEFT JOIN prices p USING (product_id)
"""
