"""The ends of tasks: after a failed attempt, or by an abort; only the worker whose attempt it is may write them."""

from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from shared.jobs import merging
from shared.postgres.pools import Conn


class TaskError(msgspec.Struct, frozen=True):
    """The error of the last attempt."""

    type: Annotated[str, Meta(description="The error's class.", examples=["ExternalAPITimeout"])]
    message: Annotated[str, Meta(description="The error's text.", examples=["the feed did not answer in time"])]


def retry_later(conn: Conn, task_id: UUID, attempt: int | None, error: TaskError, traceback: str = "") -> bool:
    """Set a task back to `queued` between two attempts; the sweep skips it until Dramatiq's retry is overdue.

    Args:
        conn: In a transaction.
        task_id: The task.
        attempt: The attempt that this worker started or joined; None: it did neither, and the task is `queued`.
        error: The error of the attempt.
        traceback: Its traceback.

    Returns:
        Whether the row was this worker's to write. It is not where the task has ended, where another worker has taken
        it over, or where another worker holds a partition of it.
    """
    values = {"task_id": task_id, "attempt": attempt, "error": _error(error, traceback)}
    return conn.execute(_RETRY_LATER, values).rowcount == 1 or end_aborted(conn, task_id, attempt)


def fail(conn: Conn, task_id: UUID, attempt: int | None, error: TaskError, traceback: str = "") -> bool:
    """Set a task to `failed`, with its error and traceback; it can be replayed. As `retry_later`, only where it may."""
    values = {"task_id": task_id, "attempt": attempt, "error": _error(error, traceback)}
    failed = conn.execute(_FAIL, values).rowcount == 1
    if failed:
        merging.pass_on_merged(conn, task_id)
    return failed


def end_aborted(conn: Conn, task_id: UUID, attempt: int | None) -> bool:
    """Set a task to `aborted` if its abort is requested, and it is queued or in this attempt; returns whether it was.

    Holders of its partitions write nothing any more.
    """
    ended = conn.execute(_END_ABORTED, {"task_id": task_id, "attempt": attempt}).rowcount == 1
    if ended:
        conn.execute("DELETE FROM run_partitions WHERE task_id = %s", [task_id])
        merging.pass_on_merged(conn, task_id)
    return ended


def _error(error: TaskError, traceback: str) -> str:
    return msgspec.json.encode(msgspec.structs.asdict(error) | {"traceback": traceback}).decode()


# A worker without an attempt may write only the row of a queued task; a worker with one, only that attempt's.
_OURS = """
task_id = %(task_id)s AND CASE WHEN %(attempt)s::integer IS NULL THEN status = 'queued'
    ELSE status = 'running' AND attempts = %(attempt)s END
"""

# While another worker holds a partition, the run is that worker's.
_ALONE = f"""
{_OURS} AND NOT EXISTS (SELECT FROM run_partitions r WHERE r.task_id = tasks.task_id
    AND r.status = 'running' AND r.lease_until >= clock_timestamp())
"""

_RETRY_LATER = f"""
UPDATE tasks SET status = 'queued', error = %(error)s, lease_until = NULL, crashes = 0, enqueued_at = clock_timestamp()
WHERE {_ALONE} AND NOT abort_requested
"""  # noqa: S608 # only our own conditions

_FAIL = f"""
UPDATE tasks SET status = 'failed', error = %(error)s, crashes = 0, finished_at = clock_timestamp() WHERE {_ALONE}
"""  # noqa: S608 # as above

_END_ABORTED = f"""
UPDATE tasks SET status = 'aborted', finished_at = clock_timestamp()
WHERE abort_requested AND (({_OURS}) OR (task_id = %(task_id)s AND status = 'queued'))
"""  # noqa: S608 # as above
