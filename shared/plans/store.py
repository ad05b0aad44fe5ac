"""Plans as rows: the proposal, its result, and what became of it."""

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
from shared.plans.results import PlanResult
from shared.plans.undo import Undo
from shared.postgres.pools import Conn


class Options(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is planned.

    Attributes:
        product_set: The products.
        is_partial: Whether a person chose them: the plan is for looking.
        queries: The shop's own queries.
        undo: The subject of an undo; None: the plan is no undo.
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
        applies: Whether it is applied when it is ready.
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
    applied_at: datetime | None
    discarded_at: datetime | None
    applies: bool

    @property
    def scopes(self) -> list[Scope]:
        """The scopes that its creation and its application need, beside `catalogue:read`."""
        found = {change.scope for change in self.changes}
        return sorted(found if self.options.undo is None else {*found, "operate"})


class Author(NamedTuple):
    """Who makes a plan: the name of the key, and its id; None: a command."""

    name: str
    key_id: int | None


def insert(
    conn: Conn,
    plan_id: UUID,
    author: Author,
    proposed: Sequence[Change],
    options: Options,
    task_id: UUID,
    *,
    applies: bool = False,
) -> None:
    """Store a new plan of the rulebook and the market values in force."""
    values = {"plan_id": plan_id, "author": author.name, "key_id": author.key_id, "task_id": task_id}
    values["applies"] = applies
    values |= {"changes": changes.encoded(proposed), "options": msgspec.json.encode(options).decode()}
    conn.execute(_INSERT, values)


def of_task(conn: Conn, task_id: UUID) -> Plan:
    """The plan that a task makes or applies."""
    row = conn.execute(f"{_SELECT} WHERE %(id)s IN (task_id, apply_task_id)", {"id": task_id}).fetchone()
    if row is None:
        raise NotFound(f"no plan of task {task_id}")
    return _plan(row)


def locked(conn: Conn, plan_id: UUID) -> Plan:
    """A plan, locked until the transaction ends.

    Raises:
        NotFound: there is no such plan.
    """
    row = conn.execute(f"{_SELECT} WHERE plan_id = %s FOR UPDATE", [plan_id]).fetchone()
    if row is None:
        raise NotFound(f"no plan {plan_id}")
    return _plan(row)


def make_ready(conn: Conn, plan: Plan, result: PlanResult) -> None:
    """Store the result of a plan whose parts are all there, with a hash of everything that it read."""
    values = {"plan_id": plan.plan_id, "result": msgspec.json.encode(result).decode()}
    conn.execute(_MAKE_READY, values)


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
    ready_at, apply_task_id, applied_version, applied_at, discarded_at, applies
FROM plans
"""

_INSERT = """
INSERT INTO plans (plan_id, author, key_id, changes, options, rulebook_version, values_version, task_id, applies)
SELECT %(plan_id)s, %(author)s, %(key_id)s, %(changes)s, %(options)s, (SELECT max(version) FROM rulebooks),
    (SELECT coalesce(max(version), 0) FROM market_values), %(task_id)s, %(applies)s
"""

_MAKE_READY = """
UPDATE plans SET ready_at = clock_timestamp(), result = %(result)s, inputs_hash = encode(sha256(convert_to(concat_ws(
    '/', rulebook_version, values_version, changes, (
        SELECT string_agg(md5(array_to_string(product_ids || versions::text[], '/')), '/' ORDER BY number)
        FROM plan_parts WHERE plan_id = %(plan_id)s)), 'UTF8')), 'hex')
WHERE plan_id = %(plan_id)s
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
