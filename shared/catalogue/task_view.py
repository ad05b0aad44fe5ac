"""A task as the API shows it."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from shared.catalogue.database import Conn
from shared.catalogue.scope import Scope
from shared.catalogue.tasks import TaskError
from shared.errors import NotFound
from shared.fields import AT, Attempts, CreatedAt, TaskId, TraceId


class Progress(msgspec.Struct, frozen=True):
    """How far a task is."""

    done: Annotated[int, Meta(description="Products done.", examples=[500])]
    total: Annotated[int | None, Meta(description="Products in all; null: not known yet.", examples=[900])]


class TaskView(msgspec.Struct, frozen=True):
    """A background job as the API shows it."""

    task_id: TaskId
    kind: Annotated[Literal["recalculation", "publication"], Meta(description="What it does.")]
    scope: Annotated[Scope, Meta(description="Its products; empty: all.", examples=[{"categories": ["grocery"]}])]
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
    row = conn.execute(
        "SELECT *, split_part(traceparent, '-', 2) AS trace_id FROM tasks WHERE task_id = %s", [task_id]
    ).fetchone()
    if row is None:
        raise NotFound(f"no task {task_id}")
    row["progress"] = Progress(row["done"], row["total"])
    return msgspec.convert({name: row[name] for name in TaskView.__struct_fields__}, TaskView)
