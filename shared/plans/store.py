"""Plans as rows: the proposal, its parts, its result, and what became of it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from shared.access.scopes import Scope
from shared.catalogue.product_set import ProductSet
from shared.errors import AlreadyEnded, NotFound
from shared.jobs import tasks
from shared.plans import changes
from shared.plans.changes import Change
from shared.plans.queries import ShopQuery
from shared.plans.sums import Sums
from shared.plans.undo import Undo
from shared.postgres.pools import Conn


class Options(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is planned.

    Attributes:
        product_set: The products.
        is_partial: Whether a person chose them: the plan is for looking.
        queries: The shop's own queries.
        undo: What the plan undoes; None: it is no undo.
    """

    product_set: ProductSet = ProductSet()
    is_partial: bool = False
    queries: tuple[ShopQuery, ...] = ()
    undo: Undo | None = None


class Plan(msgspec.Struct, frozen=True):
    """A plan, as the jobs that make and apply it read it.

    Attributes:
        rulebook_version: The rulebook that it changes.
        applied_version: The rulebook that its application made; None: it was not applied.
    """

    plan_id: UUID
    author: str
    key_id: int | None
    created_at: datetime
    changes: tuple[Change, ...]
    options: Options
    rulebook_version: int
    values_version: int
    task_id: UUID
    ready_at: datetime | None
    apply_task_id: UUID | None
    applied_version: int | None
    discarded_at: datetime | None

    @property
    def scopes(self) -> list[Scope]:
        """The scopes that its creation and its application need, beside `catalogue:read`."""
        found = {change.scope for change in self.changes}
        return sorted(found if self.options.undo is None else {*found, "operate"})


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
    """A part as an application reads it: the planned prices are those of the products that move."""

    as_of: datetime
    versions: dict[str, int]
    prices: dict[str, Decimal]


class Author(NamedTuple):
    """Who makes a plan: the name of the key, and its id; None: a command."""

    name: str
    key_id: int | None


def insert(
    conn: Conn, plan_id: UUID, author: Author, proposed: Sequence[Change], options: Options, task_id: UUID
) -> None:
    """Store a new plan of the rulebook and the market values in force."""
    values = {"plan_id": plan_id, "author": author.name, "key_id": author.key_id, "task_id": task_id}
    values |= {"changes": changes.encoded(proposed), "options": msgspec.json.encode(options).decode()}
    conn.execute(_INSERT, values)


def of_task(conn: Conn, task_id: UUID) -> Plan:
    """The plan that a task makes or applies."""
    row = conn.execute(f"{_SELECT} WHERE %(id)s IN (task_id, apply_task_id)", {"id": task_id}).fetchone()
    if row is None:
        raise NotFound(f"no plan of task {task_id}")
    return _plan(row)


def locked(conn: Conn, plan_id: UUID) -> Plan:
    """A plan, which nobody else changes until the transaction ends.

    Raises:
        NotFound: there is no such plan.
    """
    row = conn.execute(f"{_SELECT} WHERE plan_id = %s FOR UPDATE", [plan_id]).fetchone()
    if row is None:
        raise NotFound(f"no plan {plan_id}")
    return _plan(row)


def add_part(conn: Conn, plan: Plan, number: int, first: str, before: str | None, part: Part) -> None:
    """Store what a partition planned, in the transaction that ends it."""
    key = {"plan_id": plan.plan_id, "number": number, "first": first, "before": before}
    values = {
        "as_of": part.as_of,
        "ids": list(part.versions),
        "versions": list(part.versions.values()),
        "sums": msgspec.json.encode(part.sums).decode(),
    }
    conn.execute(_ADD_PART, key | values)
    if part.items:
        columns = {name: [getattr(item, name) for item in part.items] for name in Item._fields}
        conn.execute(_ADD_ITEMS, columns | {"plan_id": plan.plan_id, "planned_at": plan.created_at})


def part(conn: Conn, plan: Plan, number: int) -> Stored:
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


def make_ready(conn: Conn, plan: Plan, result: Mapping[str, Any]) -> None:
    """Store the result of a plan whose parts are all there, with a hash of everything that it read."""
    values = {"plan_id": plan.plan_id, "result": msgspec.json.encode(result).decode()}
    conn.execute(_MAKE_READY, values)


def note_redecided(conn: Conn, plan: Plan, items: Sequence[Item]) -> None:
    """Note the prices that an application published in place of the planned ones; `new_price` has them."""
    if items:
        columns = {name: [getattr(item, name) for item in items] for name in Item._fields}
        conn.execute(_NOTE_REDECIDED, columns | {"plan_id": plan.plan_id, "planned_at": plan.created_at})


def changed_share(conn: Conn, plan: Plan, most_parts: int = 100) -> Decimal:
    """The share of the plan's sheets that changed since; of many parts, that of evenly spread ones."""
    row = conn.execute(_CHANGED, {"plan_id": plan.plan_id, "most": most_parts}).fetchone()
    if row is None or not row["sheets"]:
        return Decimal(0)
    return Decimal(row["changed"]) / Decimal(row["sheets"])


def begin_application(conn: Conn, plan: Plan, task_id: UUID | None, by: str, version: int) -> None:
    """Note that the plan's rulebook is in force; without a task, that nothing else is to be done."""
    values = {"plan_id": plan.plan_id, "task_id": task_id, "by": by, "version": version}
    conn.execute(_BEGIN_APPLICATION, values)
    if task_id is not None:
        conn.execute(_ADD_PARTITIONS, values)


def end_application(conn: Conn, plan: Plan) -> None:
    """Note that everything is published."""
    conn.execute("UPDATE plans SET applied_at = clock_timestamp() WHERE plan_id = %s", [plan.plan_id])


def discard(conn: Conn, plan: Plan) -> bool:
    """Note that a locked plan will not be applied; returns whether its task runs, and is to be interrupted.

    Raises:
        AlreadyEnded: it is applied.
    """
    if plan.applied_version is not None:
        raise AlreadyEnded("the plan is applied")
    conn.execute("UPDATE plans SET discarded_at = clock_timestamp() WHERE plan_id = %s", [plan.plan_id])
    return tasks.status(conn, plan.task_id) not in (None, *tasks.ENDED) and tasks.request_abort(conn, plan.task_id)


def _plan(row: Mapping[str, Any]) -> Plan:
    read = {"changes": changes.decoded(row["changes"]), "options": _options.decode(row["options"])}
    return Plan(**{**row, **read})


_options = msgspec.json.Decoder(Options, float_hook=Decimal)

_SELECT = """
SELECT plan_id, author, key_id, created_at, changes::text, options::text, rulebook_version, values_version, task_id,
    ready_at, apply_task_id, applied_version, discarded_at
FROM plans
"""

_INSERT = """
INSERT INTO plans (plan_id, author, key_id, changes, options, rulebook_version, values_version, task_id)
SELECT %(plan_id)s, %(author)s, %(key_id)s, %(changes)s, %(options)s, (SELECT max(version) FROM rulebooks),
    (SELECT coalesce(max(version), 0) FROM market_values), %(task_id)s
"""

_ADD_PART = """
INSERT INTO plan_parts (plan_id, number, first, before, as_of, product_ids, versions, sums)
VALUES (%(plan_id)s, %(number)s, %(first)s, %(before)s, %(as_of)s, %(ids)s, %(versions)s, %(sums)s)
"""

_ITEMS = """unnest(%(product_id)s::text[], %(market)s::text[], %(category)s::text[], %(currency)s::text[],
    %(old_price)s::numeric[], %(new_price)s::numeric[], %(change)s::numeric[], %(held)s::numeric[], %(bound)s::text[],
    %(undo)s::text[])
AS f (product_id, market, category, currency, old_price, new_price, change, held, bound, undo)"""

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

_MAKE_READY = """
UPDATE plans SET ready_at = clock_timestamp(), result = %(result)s, inputs_hash = encode(sha256(convert_to(concat_ws(
    '/', rulebook_version, values_version, changes, (
        SELECT string_agg(md5(array_to_string(product_ids || versions::text[], '/')), '/' ORDER BY number)
        FROM plan_parts WHERE plan_id = %(plan_id)s)), 'UTF8')), 'hex')
WHERE plan_id = %(plan_id)s
"""

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

_BEGIN_APPLICATION = """
UPDATE plans SET apply_task_id = %(task_id)s::uuid, applied_version = %(version)s, applied_by = %(by)s,
    applied_at = CASE WHEN %(task_id)s::uuid IS NULL THEN clock_timestamp() END
WHERE plan_id = %(plan_id)s
"""

_ADD_PARTITIONS = """
WITH added AS (
    INSERT INTO run_partitions (task_id, number, first, before, size)
    SELECT %(task_id)s, number, first, before, cardinality(product_ids) FROM plan_parts WHERE plan_id = %(plan_id)s
    RETURNING size)
UPDATE tasks SET total = (SELECT coalesce(sum(size), 0) FROM added) WHERE task_id = %(task_id)s
"""
