"""Plans as the API and operators see them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from shared.catalogue.product_set import ProductSet
from shared.errors import NotFound
from shared.jobs.endings import TaskError
from shared.jobs.views import Progress
from shared.plans.undo import UndoKind
from shared.postgres.pools import LIST_TIMEOUT_S, Conn, bound_statement
from shared.pricing.currencies import CurrencyCode
from shared.pricing.product import ProductId
from shared.wire.fields import AT, CreatedAt, TaskId

PlanStatus = Literal["queued", "running", "ready", "failed", "aborted", "applying", "applied", "discarded"]
UndoNote = Literal["restored", "paused", "left", "created", "deleted", "signals"]
Order = Literal["product_id", "falls", "rises"]
# Stored documents are shown as they are; the OpenAPI document describes them as these.
StoredChange = Annotated[dict[str, Any], Meta(extra_json_schema={"$ref": "#/components/schemas/Change"})]
StoredQuery = Annotated[dict[str, Any], Meta(extra_json_schema={"$ref": "#/components/schemas/ShopQuery"})]
StoredResult = Annotated[dict[str, Any], Meta(extra_json_schema={"$ref": "#/components/schemas/PlanResult"})]
PLAN_ID = "2b0c2c9e-6f5f-4d0e-9a57-2f6f3f0f2a11"
# The creation and the id of the last plan of a page.
Position = tuple[datetime, UUID]
# The change, the product and the market of the last item of a page.
ItemPosition = tuple[Decimal, str, str]


class PlanView(msgspec.Struct, frozen=True):
    """A plan: proposed changes, and their effect."""

    plan_id: Annotated[UUID, Meta(description="The plan's id.", examples=[PLAN_ID])]
    status: Annotated[
        PlanStatus,
        Meta(description="queued, running; ready: it can be applied; failed, aborted; applying, applied; discarded."),
    ]
    author: Annotated[str, Meta(description="Who made it.", examples=["shop"])]
    created_at: CreatedAt
    task_id: TaskId
    progress: Annotated[Progress, Meta(description="Products of the job that makes or applies it.")]
    changes: Annotated[
        list[StoredChange],
        Meta(description="The changes.", examples=[[{"promotion": {"id": "spring", "percent": "20"}}]]),
    ]
    product_set: Annotated[ProductSet, Meta(description="The planned products; empty: all.", examples=[{}])]
    is_partial: Annotated[bool, Meta(description="Of chosen products only: it cannot be applied.", examples=[False])]
    queries: Annotated[list[StoredQuery], Meta(description="The shop's own queries.", examples=[[]])]
    undo: Annotated[
        dict[UndoKind, str] | None,
        Meta(
            description="What it undoes: run, event, plan, import or since, with its id or instant; null: no undo.",
            examples=[None],
        ),
    ]
    rulebook_version: Annotated[int, Meta(description="The rulebook that it changes.", examples=[7])]
    inputs_hash: Annotated[
        str | None, Meta(description="A hash of everything that it read; null: it is not ready.", examples=["5f70bf18"])
    ]
    result: Annotated[StoredResult | None, Meta(description="The effect; null: it is not ready.", examples=[None])]
    error: Annotated[TaskError | None, Meta(description="The error of the job's last attempt; null: none.")]
    ready_at: Annotated[datetime | None, Meta(description="The time of its end.", examples=[AT])]
    apply_task_id: Annotated[UUID | None, Meta(description="The task that applies it.", examples=[None])]
    applied_version: Annotated[int | None, Meta(description="The rulebook that it put in force.", examples=[8])]
    applied_by: Annotated[str | None, Meta(description="Who applied it.", examples=["shop"])]
    applied_at: Annotated[datetime | None, Meta(description="The time at which all was published.", examples=[AT])]
    redecided: Annotated[
        int, Meta(description="Products that changed since, whose price was decided anew.", examples=[0])
    ]


class ItemView(msgspec.Struct, frozen=True):
    """A price that moves, or is held, by a plan."""

    product_id: ProductId
    market: Annotated[
        str | None, Meta(description="null: the published price; else the public price there.", examples=[None])
    ]
    category: Annotated[str, Meta(description="The product's category.", examples=["toys"])]
    currency: CurrencyCode
    old_price: Annotated[Decimal | None, Meta(description="The price in force; null: none.", examples=["50.00"])]
    new_price: Annotated[Decimal | None, Meta(description="The planned price; null: none.", examples=["45.00"])]
    change: Annotated[Decimal, Meta(description="The share of the old price.", examples=["-0.1"])]
    held: Annotated[Decimal | None, Meta(description="The target that waits for a person.", examples=[None])]
    bound: Annotated[str | None, Meta(description="The bound that sets it: floor or ceiling.", examples=["floor"])]
    undo: Annotated[
        UndoNote | None,
        Meta(
            description="Of an undo: restored; paused: restored, and automation is paused; left: a person wrote the "
            "product since; created: it had no price before; deleted: the subject created it; signals: only its "
            "signals go back.",
            examples=[None],
        ),
    ]
    redecided: Annotated[
        Decimal | None, Meta(description="The price that was published in place of the planned one.", examples=[None])
    ]


class ItemFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which items; None: any. `market` empty: published prices."""

    category: str | None = None
    market: str | None = None
    held: bool | None = None
    redecided: bool | None = None
    undo: UndoNote | None = None


def view(conn: Conn, plan_id: UUID) -> PlanView:
    """One plan.

    Raises:
        NotFound: there is no such plan.
    """
    row = conn.execute(f"{_SELECT} WHERE p.plan_id = %s".encode(), [plan_id]).fetchone()
    if row is None:
        raise NotFound(f"no plan {plan_id}")
    return _of(row)


def page(conn: Conn, limit: int, after: Position | None) -> list[PlanView]:
    """Plans, the newest first, behind `after`, without their results."""
    created_at, plan_id = after or _NEWEST
    bound_statement(conn, LIST_TIMEOUT_S)
    rows = conn.execute(_PAGE.encode(), {"at": created_at, "id": plan_id, "limit": limit})
    return [_of(row | {"result": None}) for row in rows]


def among(conn: Conn, plan_ids: Sequence[UUID]) -> list[PlanView]:
    """The plans with these ids that there are, in any order, without their results."""
    rows = conn.execute(f"{_SELECT} WHERE p.plan_id = ANY(%s)".encode(), [plan_ids])
    return [_of(row | {"result": None}) for row in rows]


def items(
    conn: Conn, plan_id: UUID, chosen: ItemFilter, order: Order, limit: int, after: ItemPosition | None
) -> list[ItemView]:
    """Items of a ready plan, behind `after`.

    Raises:
        NotFound: there is no such plan.
    """
    row = conn.execute("SELECT created_at FROM plans WHERE plan_id = %s", [plan_id]).fetchone()
    if row is None:
        raise NotFound(f"no plan {plan_id}")
    change, product_id, market = after or (None, "", "")
    values = msgspec.structs.asdict(chosen) | {"plan_id": plan_id, "planned_at": row["created_at"], "limit": limit}
    values |= {"change": change, "product_id": product_id, "after_market": market}
    bound_statement(conn, LIST_TIMEOUT_S)
    return [ItemView(**each) for each in conn.execute(_ITEMS.format(*_ORDERS[order]).encode(), values)]


def position_of(item: ItemView) -> ItemPosition:
    """Where the page after an item begins."""
    return item.change, item.product_id, item.market or ""


def _of(row: dict[str, Any]) -> PlanView:
    row |= {"progress": Progress(row.pop("done"), row.pop("total")), **row.pop("options")}
    row["product_set"] = msgspec.convert(row.get("product_set", {}), ProductSet)
    row.setdefault("is_partial", False)
    row.setdefault("queries", [])
    subject = row.setdefault("undo", None)
    if subject is not None:
        row["undo"] = {subject["kind"]: subject.get("id") or subject["since"]}
    if row["error"] is not None:
        row["error"] = TaskError(row["error"].get("type", ""), row["error"].get("message", ""))
    return PlanView(**row)


# Later than any row: PostgreSQL's clock has not come so far.
_NEWEST: Position = (datetime.max.replace(tzinfo=UTC), UUID(int=0))

_SELECT = """
SELECT p.plan_id, p.author, p.created_at, p.task_id, p.changes, p.options, p.rulebook_version, p.inputs_hash, p.result,
    p.ready_at, p.apply_task_id, p.applied_version, p.applied_by, p.applied_at, t.done, t.total, t.error,
    CASE WHEN p.discarded_at IS NOT NULL THEN 'discarded' WHEN p.applied_at IS NOT NULL THEN 'applied'
        WHEN p.applied_version IS NOT NULL THEN 'applying' WHEN p.ready_at IS NOT NULL THEN 'ready'
        WHEN t.status IN ('queued', 'running', 'aborted') THEN t.status ELSE 'failed' END AS status,
    CASE WHEN p.applied_version IS NULL THEN 0 ELSE (
        SELECT count(*) FROM plan_items i WHERE i.plan_id = p.plan_id AND i.planned_at = p.created_at
            AND i.redecided IS NOT NULL) END AS redecided
FROM plans p LEFT JOIN tasks t ON t.task_id = coalesce(p.apply_task_id, p.task_id)
"""

_PAGE = f"""{_SELECT}
WHERE (p.created_at, p.plan_id) < (%(at)s, %(id)s) ORDER BY p.created_at DESC, p.plan_id DESC LIMIT %(limit)s
"""

_ITEMS = """
SELECT product_id, nullif(market, '') AS market, category, currency, old_price, new_price, change, held, bound, undo,
    redecided
FROM plan_items
WHERE plan_id = %(plan_id)s AND planned_at = %(planned_at)s
    AND (%(change)s::numeric IS NULL OR {})
    AND (%(category)s::text IS NULL OR category = %(category)s)
    AND (%(market)s::text IS NULL OR market = %(market)s)
    AND (%(held)s::boolean IS NULL OR (held IS NOT NULL) = %(held)s)
    AND (%(redecided)s::boolean IS NULL OR (redecided IS NOT NULL) = %(redecided)s)
    AND (%(undo)s::text IS NULL OR undo = %(undo)s)
ORDER BY {} LIMIT %(limit)s
"""

_ORDERS: dict[Order, Sequence[str]] = {
    "product_id": ("(product_id, market) > (%(product_id)s, %(after_market)s)", "product_id, market"),
    "falls": (
        "(change, product_id, market) > (%(change)s, %(product_id)s, %(after_market)s)",
        "change, product_id, market",
    ),
    "rises": (
        "(-change, product_id, market) > (-%(change)s, %(product_id)s, %(after_market)s)",
        "-change, product_id, market",
    ),
}
