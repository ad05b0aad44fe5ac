"""Tasks as the API and operators see them: look-up, lists, and replay."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from shared.catalogue.failures import ProductFailure
from shared.catalogue.product_set import ProductSet
from shared.errors import AlreadyEnded, NotFound
from shared.jobs.endings import TaskError
from shared.postgres.pools import LIST_TIMEOUT_S, Conn, bound_statement
from shared.wire.fields import AT, TASK_ID, Attempts, CreatedAt, TaskId, TraceId

TaskKind = Literal["recalculation", "cache_sync", "plan", "apply"]
TaskStatus = Literal["queued", "running", "succeeded", "skipped", "failed", "aborted"]
# The creation and the id of the last task of a page.
Position = tuple[datetime, UUID]


class Progress(msgspec.Struct, frozen=True):
    """The progress of a task."""

    done: Annotated[int, Meta(description="Products done.", examples=[500])]
    total: Annotated[int | None, Meta(description="Products in all; null: not counted yet.", examples=[900])]


class TaskResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """The result of a task; of one that another task includes, only that task."""

    recalculated: Annotated[int | None, Meta(description="Prices that were decided.", examples=[900])] = None
    changed: Annotated[int | None, Meta(description="Prices that changed.", examples=[12])] = None
    failed: Annotated[int, Meta(description="Products that could not be decided.", examples=[1])] = 0
    failed_products: Annotated[tuple[ProductFailure, ...], Meta(description="The first 100 of them.")] = ()
    merged_into: Annotated[UUID | None, Meta(description="The task that includes this one.", examples=[TASK_ID])] = None


class TaskView(msgspec.Struct, frozen=True):
    """A background job in the API."""

    task_id: TaskId
    kind: Annotated[TaskKind, Meta(description="The job's kind.")]
    product_set: Annotated[
        ProductSet, Meta(description="The job's products; empty: all.", examples=[{"categories": ["grocery"]}])
    ] = msgspec.field(name="scope")
    status: Annotated[
        TaskStatus,
        Meta(description="queued, also between two attempts; skipped: another task includes it."),
    ]
    progress: Annotated[Progress, Meta(description="The progress.", examples=[{"done": 500, "total": 900}])]
    attempts: Attempts
    result: Annotated[
        TaskResult | None,
        Meta(description="The result; null: it has not succeeded.", examples=[{"recalculated": 900, "changed": 12}]),
    ]
    error: Annotated[TaskError | None, Meta(description="The error of the last attempt; null: it did not fail.")]
    trace_id: TraceId
    created_at: CreatedAt
    started_at: Annotated[datetime | None, Meta(description="The time of the first start.", examples=[AT])]
    finished_at: Annotated[datetime | None, Meta(description="The time of the end.", examples=[AT])]


def view(conn: Conn, task_id: UUID) -> TaskView:
    """One task.

    Raises:
        NotFound: no such task.
    """
    row = conn.execute(f"{_SELECT} WHERE task_id = %s", [task_id]).fetchone()
    if row is None:
        raise NotFound(f"no task {task_id}")
    return _of(row)


def listed(conn: Conn, statuses: Sequence[str], limit: int) -> list[TaskView]:
    """The newest tasks with these statuses; with any status where none is given."""
    values = {"any": not statuses, "statuses": list(statuses), "limit": limit}
    return [_of(row) for row in conn.execute(_LIST, values)]


def page(
    conn: Conn, statuses: Sequence[TaskStatus], kinds: Sequence[TaskKind], limit: int, after: Position | None
) -> list[TaskView]:
    """The newest tasks with these statuses and kinds, older than `after`; without a status or kind: with any."""
    created_at, task_id = after or _NEWEST
    values = {"statuses": list(statuses), "kinds": list(kinds), "limit": limit, "at": created_at, "id": task_id}
    bound_statement(conn, LIST_TIMEOUT_S)
    return [_of(row) for row in conn.execute(_PAGE, values)]


def counts(conn: Conn) -> dict[str, int]:
    """The number of tasks by status."""
    return {row["status"]: row["n"] for row in conn.execute("SELECT status, count(*) AS n FROM tasks GROUP BY status")}


def traceback_of(conn: Conn, task_id: UUID) -> str | None:
    """The traceback of the last attempt's error."""
    row = conn.execute("SELECT error->>'traceback' AS traceback FROM tasks WHERE task_id = %s", [task_id]).fetchone()
    return row["traceback"] if row else None


def replay(conn: Conn, task_id: UUID) -> None:
    """Set a failed task back to `queued`; finished partitions stay finished.

    Raises:
        NotFound: no such task.
        AlreadyEnded: the task did not fail.
    """
    row = conn.execute("SELECT status FROM tasks WHERE task_id = %s FOR UPDATE", [task_id]).fetchone()
    if row is None:
        raise NotFound(f"no task {task_id}")
    if row["status"] != "failed":
        raise AlreadyEnded(f"only failed tasks can be replayed; the task's status is {row['status']}")
    conn.execute(
        "UPDATE tasks SET status = 'queued', finished_at = NULL, crashes = 0, enqueued_at = NULL WHERE task_id = %s",
        [task_id],
    )
    conn.execute(
        "UPDATE run_partitions SET status = 'waiting', crashes = 0 WHERE task_id = %s AND status <> 'done'", [task_id]
    )


def duration_s(conn: Conn, task_id: UUID) -> float:
    """Time from a task's first start to its end, or to now."""
    query = "SELECT extract(epoch FROM coalesce(finished_at, now()) - started_at) AS s FROM tasks WHERE task_id = %s"
    row = conn.execute(query, [task_id]).fetchone()
    return float(row["s"] or 0) if row else 0.0


def _of(row: dict[str, Any]) -> TaskView:
    row["progress"] = Progress(row["done"], row["total"])
    try:
        return _converted(row)
    except msgspec.ValidationError as error:
        # The others of a list are shown all the same.
        reason = {"type": "UnusableTask", "message": f"the stored task cannot be read: {error}"}
        return _converted(row | {"product_set": {}, "result": None, "error": reason})


def _converted(row: dict[str, Any]) -> TaskView:
    fields = zip(TaskView.__struct_encode_fields__, TaskView.__struct_fields__, strict=True)
    return msgspec.convert({encoded: row[name] for encoded, name in fields}, TaskView)


# Columns are named, never `*`: a column that a migration adds would break every prepared statement.
_SELECT = """
SELECT task_id, kind, product_set, status, done, total, attempts, result, error, created_at, started_at, finished_at,
    split_part(traceparent, '-', 2) AS trace_id
FROM tasks
"""

_LIST = f"{_SELECT} WHERE %(any)s OR status = ANY(%(statuses)s) ORDER BY created_at DESC LIMIT %(limit)s"

# Later than any row: PostgreSQL's clock has not come so far.
_NEWEST: Position = (datetime.max.replace(tzinfo=UTC), UUID(int=0))
_PAGE = f"""{_SELECT}
WHERE (%(statuses)s::text[] = '{{}}' OR status = ANY(%(statuses)s))
    AND (%(kinds)s::text[] = '{{}}' OR kind = ANY(%(kinds)s))
    AND (created_at, task_id) < (%(at)s, %(id)s)
ORDER BY created_at DESC, task_id DESC LIMIT %(limit)s
"""
