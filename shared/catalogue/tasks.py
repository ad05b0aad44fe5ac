"""Tasks: background jobs as rows, which are the queue; a message only rings for them."""

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID, uuid4

import msgspec
import psycopg.errors
from msgspec import Meta

from shared.catalogue import follow_ups
from shared.catalogue.database import Conn
from shared.catalogue.scope import Scope
from shared.errors import AlreadyEnded, NotFound

LEASE_S = 15
RING_AGAIN_S = 20
RETRY_GRACE_S = 40
ENDED = ("succeeded", "skipped", "failed", "aborted")


class TaskError(msgspec.Struct, frozen=True):
    """Why the last attempt ended."""

    type: Annotated[str, Meta(description="The error's class.", examples=["ExternalAPITimeout"])]
    message: Annotated[str, Meta(description="The error's text.", examples=["the feed did not answer in time"])]


class WaitingTask(msgspec.Struct, frozen=True):
    """A task to ring for: it waits, or the worker that ran it is gone."""

    task_id: UUID
    kind: str
    traceparent: str


class RunningTask(msgspec.Struct, frozen=True):
    """A task that this worker holds, under a lease of 15 s that each step of progress renews.

    Attributes:
        attempt: 1 at the first; higher ones put every sheet again.
        cursor: The last product that is done, in the order of the ids; empty: none.
    """

    task_id: UUID
    kind: str
    scope: Scope
    attempt: int
    cursor: str


class Busy(Exception):
    """Another recalculation is running; the claim was refused."""


def create(
    conn: Conn,
    kind: str,
    scope: Scope,
    traceparent: str,
    task_id: UUID | None = None,
) -> UUID:
    """Add a queued task, in the caller's transaction; one that exists already stays as it is.

    Args:
        conn: In a transaction.
        kind: `recalculation` (one at a time) or `publication` (puts what a write decided into Redis; any number).
        scope: Its products.
        traceparent: W3C context that the work continues.
        task_id: For jobs that may be asked for twice; None: a new one.
    """
    task_id = task_id or uuid4()
    conn.execute(
        "INSERT INTO tasks (task_id, kind, scope, traceparent) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
        [task_id, kind, _json(scope), traceparent],
    )
    return task_id


def start(conn: Conn, task_id: UUID) -> RunningTask | None:
    """Claim a task for this worker; None where it has ended or another worker holds it.

    Raises:
        Busy: it is a recalculation, and another one is running.
    """
    try:
        row = conn.execute(_START, [LEASE_S, task_id]).fetchone()
    except psycopg.errors.UniqueViolation:
        raise Busy from None
    if row is None:
        _end_abandoned(conn, task_id)
        return None
    return RunningTask(row["task_id"], row["kind"], _scope(row["scope"]), attempt=row["attempts"], cursor=row["cursor"])


def scope_size(conn: Conn, scope: Scope) -> int:
    """How many products are in a scope."""
    row = conn.execute(f"SELECT count(*) AS n FROM products WHERE {_IN_SCOPE}", _in(scope)).fetchone()  # noqa: S608
    return int(row["n"]) if row else 0


def next_products(conn: Conn, scope: Scope, after: str, limit: int) -> list[str]:
    """The next ids of a scope, in their order, after one of them."""
    rows = conn.execute(
        f"SELECT product_id FROM products WHERE product_id > %(after)s AND {_IN_SCOPE}"  # noqa: S608
        " ORDER BY product_id LIMIT %(limit)s",
        _in(scope) | {"after": after, "limit": limit},
    )
    return [row["product_id"] for row in rows]


def advance(
    conn: Conn,
    task: RunningTask,
    *,
    done: int = 0,
    changed: int = 0,
    cursor: str | None = None,
    total: int | None = None,
) -> bool:
    """Note progress and renew the lease; False where the task is to be aborted, or is no longer ours."""
    row = conn.execute(
        """
        UPDATE tasks SET done = done + %s, changed = changed + %s, cursor = coalesce(%s, cursor),
            total = coalesce(%s, total), lease_until = clock_timestamp() + make_interval(secs => %s)
        WHERE task_id = %s AND status = 'running' AND attempts = %s RETURNING abort_requested
        """,
        [done, changed, cursor, total, LEASE_S, task.task_id, task.attempt],
    ).fetchone()
    return row is not None and not row["abort_requested"]


def succeed(conn: Conn, task: RunningTask) -> None:
    """End a task well; its result says how many prices were decided and how many changed."""
    conn.execute(
        """
        UPDATE tasks SET status = 'succeeded', finished_at = clock_timestamp(), error = NULL,
            result = jsonb_build_object('recalculated', done, 'changed', changed)
        WHERE task_id = %s AND status = 'running' AND attempts = %s
        """,
        [task.task_id, task.attempt],
    )


def done_by_writer(conn: Conn, task_id: UUID) -> None:
    """End a publication that whoever wrote the prices has done itself."""
    conn.execute(
        "UPDATE tasks SET status = 'succeeded', finished_at = clock_timestamp()"
        " WHERE task_id = %s AND status = 'queued'",
        [task_id],
    )


def retry_later(conn: Conn, task_id: UUID, error: TaskError) -> None:
    """Back into the queue between two attempts; the sweep leaves it alone while Dramatiq's retry is due."""
    conn.execute(
        """
        UPDATE tasks SET status = 'queued', error = %s, lease_until = NULL,
            enqueued_at = clock_timestamp() + make_interval(secs => %s)
        WHERE task_id = %s AND status IN ('queued', 'running') AND NOT abort_requested
        """,
        [_json(error), RETRY_GRACE_S, task_id],
    )
    end_aborted(conn, task_id)


def fail(conn: Conn, task_id: UUID, error: TaskError) -> None:
    """End a task badly, with its error."""
    conn.execute(
        "UPDATE tasks SET status = 'failed', error = %s, finished_at = clock_timestamp()"
        " WHERE task_id = %s AND status IN ('queued', 'running')",
        [_json(error), task_id],
    )
    follow_ups.pass_on_merged(conn, task_id)


def end_aborted(conn: Conn, task_id: UUID) -> None:
    """End a task whose abort was asked for; any other stays as it is."""
    if conn.execute(_END_ABORTED, [task_id]).rowcount:
        follow_ups.pass_on_merged(conn, task_id)


def claim_waiting(conn: Conn, limit: int = 100) -> list[WaitingTask]:
    """Take tasks for ringing: queued ones, and running ones whose lease ended; nobody else gets them for 20 s."""
    rows = conn.execute(_CLAIM, {"again_s": RING_AGAIN_S, "limit": limit})
    return [WaitingTask(**row) for row in rows]


def claim_one(conn: Conn, task_id: UUID) -> None:
    """Note that this task is being rung for, so that the sweep waits its turn."""
    conn.execute("UPDATE tasks SET enqueued_at = clock_timestamp() WHERE task_id = %s", [task_id])


def release(conn: Conn, task_ids: Sequence[UUID]) -> None:
    """Give back tasks that were claimed but could not be rung for."""
    conn.execute(
        "UPDATE tasks SET enqueued_at = NULL WHERE task_id = ANY(%s) AND status IN ('queued', 'running')",
        [list(task_ids)],
    )


def request_abort(conn: Conn, task_id: UUID) -> bool:
    """Abort a task: at once where it waits; where it runs, its worker ends it.

    Returns:
        Whether it runs and its worker is to be told.

    Raises:
        NotFound: no such task.
        AlreadyEnded: it has ended.
    """
    row = conn.execute("SELECT status FROM tasks WHERE task_id = %s FOR UPDATE", [task_id]).fetchone()
    if row is None:
        raise NotFound(f"no task {task_id}")
    if row["status"] in ENDED:
        raise AlreadyEnded(f"the task has ended: {row['status']}")
    conn.execute("UPDATE tasks SET abort_requested = true WHERE task_id = %s", [task_id])
    if row["status"] == "queued":
        end_aborted(conn, task_id)
    return bool(row["status"] == "running")


def _end_abandoned(conn: Conn, task_id: UUID) -> None:
    """A task whose abort was asked for, and whose worker died before it could end it, ends here."""
    abandoned = conn.execute(
        "SELECT 1 FROM tasks WHERE task_id = %s AND abort_requested"
        " AND (status = 'queued' OR lease_until < clock_timestamp())",
        [task_id],
    ).fetchone()
    if abandoned:
        end_aborted(conn, task_id)


def _scope(document: object) -> Scope:
    return msgspec.convert(document, Scope)


def _json(value: msgspec.Struct) -> str:
    return msgspec.json.encode(value).decode()


def _in(scope: Scope) -> dict[str, Any]:
    return {
        "everything": scope.is_everything,
        "ids": list(scope.product_ids),
        "categories": list(scope.categories),
    }


_IN_SCOPE = "(%(everything)s OR product_id = ANY(%(ids)s) OR category = ANY(%(categories)s))"

_START = """
UPDATE tasks SET status = 'running', attempts = attempts + 1,
    follow_up = false, started_at = coalesce(started_at, clock_timestamp()),
    lease_until = clock_timestamp() + make_interval(secs => %s)
WHERE task_id = %s AND NOT abort_requested
    AND (status = 'queued' OR (status = 'running' AND lease_until < clock_timestamp()))
RETURNING task_id, kind, scope, attempts, cursor
"""

_END_ABORTED = """
UPDATE tasks SET status = 'aborted', finished_at = clock_timestamp()
WHERE task_id = %s AND abort_requested AND status IN ('queued', 'running')
"""

_CLAIM = """
UPDATE tasks SET enqueued_at = clock_timestamp() WHERE task_id IN (
    SELECT task_id FROM tasks
    WHERE (status = 'queued' AND (enqueued_at IS NULL
            OR enqueued_at < clock_timestamp() - make_interval(secs => %(again_s)s)))
        OR (status = 'running' AND lease_until < clock_timestamp()
            AND (enqueued_at IS NULL OR enqueued_at < clock_timestamp() - make_interval(secs => %(again_s)s)))
    ORDER BY created_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
RETURNING task_id, kind, traceparent
"""
