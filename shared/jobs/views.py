"""A task as the API shows it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from shared.catalogue.product_set import ProductSet
from shared.errors import AlreadyEnded, NotFound
from shared.jobs.tasks import TaskError
from shared.postgres.pools import Conn
from shared.wire.fields import AT, Attempts, CreatedAt, TaskId, TraceId


class Progress(msgspec.Struct, frozen=True):
    """How far a task is."""

    done: Annotated[int, Meta(description="Products done.", examples=[500])]
    total: Annotated[int | None, Meta(description="Products in all; null: not known yet.", examples=[900])]


class TaskView(msgspec.Struct, frozen=True):
    """A background job as the API shows it."""

    task_id: TaskId
    kind: Annotated[Literal["recalculation", "cache_sync"], Meta(description="What it does.")]
    product_set: Annotated[
        ProductSet, Meta(description="Its products; empty: all.", examples=[{"categories": ["grocery"]}])
    ] = msgspec.field(name="scope")
    status: Annotated[
        Literal["queued", "running", "succeeded", "skipped", "failed", "aborted"],
        Meta(description="queued also between two attempts; skipped: another one includes it."),
    ]
    progress: Annotated[Progress, Meta(description="How far it is.", examples=[{"done": 500, "total": 900}])]
    attempts: Attempts
    result: Annotated[
        dict[str, Any] | None,
        Meta(
            description="recalculated and changed prices, or merged_into: the task that includes a skipped one.",
            examples=[{"recalculated": 900, "changed": 12}],
        ),
    ]
    error: Annotated[TaskError | None, Meta(description="Why the last attempt ended; null: it did not fail.")]
    trace_id: TraceId
    created_at: CreatedAt
    started_at: Annotated[datetime | None, Meta(description="When it was first begun.", examples=[AT])]
    finished_at: Annotated[datetime | None, Meta(description="When it ended.", examples=[AT])]


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
    """The newest tasks of these statuses; of all where none is given."""
    values = {"any": not statuses, "statuses": list(statuses), "limit": limit}
    return [_of(row) for row in conn.execute(_LIST, values)]


def counts(conn: Conn) -> dict[str, int]:
    """How many tasks have which status."""
    return {row["status"]: row["n"] for row in conn.execute("SELECT status, count(*) AS n FROM tasks GROUP BY status")}


def traceback_of(conn: Conn, task_id: UUID) -> str | None:
    """Where the last attempt's error came from."""
    row = conn.execute("SELECT error->>'traceback' AS traceback FROM tasks WHERE task_id = %s", [task_id]).fetchone()
    return row["traceback"] if row else None


def replay(conn: Conn, task_id: UUID) -> None:
    """Put a task that failed back into the queue; what it has done stays done.

    Raises:
        NotFound: no such task.
        AlreadyEnded: it did not fail.
    """
    row = conn.execute("SELECT status FROM tasks WHERE task_id = %s FOR UPDATE", [task_id]).fetchone()
    if row is None:
        raise NotFound(f"no task {task_id}")
    if row["status"] != "failed":
        raise AlreadyEnded(f"only what failed is replayed; the task's status is {row['status']}")
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
    fields = zip(TaskView.__struct_encode_fields__, TaskView.__struct_fields__, strict=True)
    return msgspec.convert({encoded: row[name] for encoded, name in fields}, TaskView)


# Named, never `*`: a column that a migration adds would make every prepared statement fail.
_SELECT = """
SELECT task_id, kind, product_set, status, done, total, attempts, result, error, created_at, started_at, finished_at,
    split_part(traceparent, '-', 2) AS trace_id
FROM tasks
"""

_LIST = f"{_SELECT} WHERE %(any)s OR status = ANY(%(statuses)s) ORDER BY created_at DESC LIMIT %(limit)s"
