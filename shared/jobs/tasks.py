"""Tasks: background jobs as rows. The rows are the queue; a message only names one of them."""

from collections.abc import Sequence
from uuid import UUID, uuid4

import msgspec
import psycopg.errors
from psycopg.rows import DictRow

from shared.catalogue.product_set import ProductSet
from shared.errors import AlreadyEnded, NotFound
from shared.jobs import endings
from shared.postgres.leases import LEASE_S, MAX_CRASHES, QUARANTINED
from shared.postgres.pools import Conn
from shared.telemetry import propagation
from shared.telemetry.metrics import QUARANTINES

# Longer than Dramatiq's delay before a retry (12.8 s): the sweep never precedes the retry.
REDELIVER_AFTER_S = 20
# Shorter, because one more worker does a run no harm.
REDELIVER_RUN_AFTER_S = 5
# If no partition finished for this long while some wait, the sweep assumes that no worker is active.
STALLED_S = 2
ENDED = ("succeeded", "skipped", "failed", "aborted")


class WaitingTask(msgspec.Struct, frozen=True):
    """A task to enqueue: it waits, or the worker that ran it is gone."""

    task_id: UUID
    kind: str
    traceparent: str


class RunningTask(msgspec.Struct, frozen=True):
    """A task that runs, under a lease of 12 s that each step of progress renews.

    Attributes:
        attempt: 1 at the first.
        total: The number of its products; None: not counted yet.
        key_ids: The keys that asked for it.
    """

    task_id: UUID
    kind: str
    product_set: ProductSet
    attempt: int
    total: int | None
    key_ids: tuple[int, ...] = ()


class Busy(Exception):
    """Another recalculation is running; the claim was refused."""


def create(
    conn: Conn,
    kind: str,
    product_set: ProductSet,
    traceparent: str,
    task_id: UUID | None = None,
    key_id: int | None = None,
) -> UUID:
    """Add a queued task, in the caller's transaction; an existing task is left unchanged.

    Args:
        conn: In a transaction.
        kind: `recalculation` (one at a time), `cache_sync` (puts a write's sheets into Redis), `plan` or `apply`.
        product_set: Its products.
        traceparent: W3C context that the work continues; empty: a new trace.
        task_id: Given for a job that may be requested twice; None: a new id.
        key_id: The key that asked for it, or wrote the rules that it follows; None: a command, or automation.
    """
    task_id = task_id or uuid4()
    conn.execute(
        "INSERT INTO tasks (task_id, kind, product_set, traceparent, key_ids) VALUES (%s, %s, %s, %s, %s)"
        " ON CONFLICT DO NOTHING",
        [task_id, kind, _json(product_set), traceparent or propagation.fresh(), [] if key_id is None else [key_id]],
    )
    return task_id


def start(conn: Conn, task_id: UUID) -> RunningTask | None:
    """Claim a task for this worker; None where it has ended or another worker holds it.

    Each start is counted before the work, in a transaction of its own: a task that crashed its worker three times is
    not started again, but fails as `Quarantined`. Once a run is split, the starts of its partitions count instead.
    A run keeps its progress; a cache sync starts over.

    Raises:
        Busy: the task is a recalculation, and another one runs.
    """
    try:
        row = conn.execute(_START, [LEASE_S, task_id]).fetchone()
    except psycopg.errors.UniqueViolation:
        raise Busy from None
    if row is None:
        _end_abandoned(conn, task_id)
        return None
    if row["crashes"] > MAX_CRASHES:
        QUARANTINES.labels("task").inc()
        reason = f"it crashed its worker {MAX_CRASHES} times"
        endings.fail(conn, task_id, row["attempts"], endings.TaskError(QUARANTINED, reason))
        return None
    return _running(row)


def running(conn: Conn, task_id: UUID) -> RunningTask | None:
    """A task that runs under a valid lease; None where it does not."""
    row = conn.execute(_RUNNING, [task_id]).fetchone()
    if row is None:
        return None
    return _running(row)


def status(conn: Conn, task_id: UUID) -> str | None:
    """A task's status; None: there is no such task."""
    row = conn.execute("SELECT status FROM tasks WHERE task_id = %s", [task_id]).fetchone()
    return str(row["status"]) if row else None


def advance(conn: Conn, task: RunningTask, *, done: int = 0, changed: int = 0, total: int | None = None) -> bool:
    """Store progress and renew the lease; False where the abort is requested, or the task was taken over."""
    row = conn.execute(
        """
        UPDATE tasks SET done = done + %s, changed = changed + %s, total = coalesce(%s, total),
            lease_until = clock_timestamp() + make_interval(secs => %s)
        WHERE task_id = %s AND status = 'running' AND attempts = %s RETURNING abort_requested
        """,
        [done, changed, total, LEASE_S, task.task_id, task.attempt],
    ).fetchone()
    return row is not None and not row["abort_requested"]


def succeed(conn: Conn, task: RunningTask) -> bool:
    """Set a task to `succeeded`; its result has the numbers of decided and of changed prices.

    Returns:
        False where the task was taken over or has ended.
    """
    done = conn.execute(
        """
        UPDATE tasks SET status = 'succeeded', finished_at = clock_timestamp(), error = NULL,
            result = jsonb_build_object('recalculated', done, 'changed', changed)
        WHERE task_id = %s AND status = 'running' AND attempts = %s
        """,
        [task.task_id, task.attempt],
    )
    return done.rowcount == 1


def done_by_writer(conn: Conn, task_id: UUID) -> None:
    """Set a cache sync to `succeeded` that the writer of the prices has done itself."""
    conn.execute(
        "UPDATE tasks SET status = 'succeeded', finished_at = clock_timestamp()"
        " WHERE task_id = %s AND status = 'queued'",
        [task_id],
    )


def claim_waiting(conn: Conn, limit: int = 100) -> list[WaitingTask]:
    """Claim tasks to enqueue: queued ones, for 20 s, and running ones that stalled, for 5 s."""
    times = {"queued_s": REDELIVER_AFTER_S, "running_s": REDELIVER_RUN_AFTER_S, "stalled_s": LEASE_S - STALLED_S}
    rows = conn.execute(_CLAIM, times | {"limit": limit})
    return [WaitingTask(**row) for row in rows]


def claim_one(conn: Conn, task_id: UUID) -> None:
    """Claim a task to enqueue, so that the sweep does not enqueue it as well."""
    conn.execute("UPDATE tasks SET enqueued_at = clock_timestamp() WHERE task_id = %s", [task_id])


def release(conn: Conn, task_ids: Sequence[UUID]) -> None:
    """Release tasks that were claimed but could not be enqueued."""
    conn.execute(
        "UPDATE tasks SET enqueued_at = NULL WHERE task_id = ANY(%s) AND status IN ('queued', 'running')",
        [list(task_ids)],
    )


def request_abort(conn: Conn, task_id: UUID) -> bool:
    """Abort a task: at once where it waits; where it runs, its worker ends it.

    Returns:
        Whether it runs, and its worker needs to be interrupted.

    Raises:
        NotFound: no such task.
        AlreadyEnded: the task has ended.
    """
    row = conn.execute("SELECT status FROM tasks WHERE task_id = %s FOR UPDATE", [task_id]).fetchone()
    if row is None:
        raise NotFound(f"no task {task_id}")
    if row["status"] in ENDED:
        raise AlreadyEnded(f"the task has ended: {row['status']}")
    conn.execute("UPDATE tasks SET abort_requested = true WHERE task_id = %s", [task_id])
    if row["status"] == "queued":
        endings.end_aborted(conn, task_id, None)
    return bool(row["status"] == "running")


def _end_abandoned(conn: Conn, task_id: UUID) -> None:
    """End a task whose abort was requested, and whose worker crashed before it ended the task."""
    abandoned = conn.execute(
        "SELECT attempts FROM tasks WHERE task_id = %s AND abort_requested"
        " AND (status = 'queued' OR lease_until < clock_timestamp())",
        [task_id],
    ).fetchone()
    if abandoned:
        endings.end_aborted(conn, task_id, abandoned["attempts"])


def _running(row: DictRow) -> RunningTask:
    products = _product_set(row["product_set"])
    return RunningTask(
        row["task_id"], row["kind"], products, row["attempts"], row["total"], tuple(sorted(row["key_ids"]))
    )


def _product_set(document: object) -> ProductSet:
    return msgspec.convert(document, ProductSet)


def _json(value: msgspec.Struct) -> str:
    return msgspec.json.encode(value).decode()


_START = """
UPDATE tasks SET status = 'running', attempts = attempts + 1, enqueued_at = NULL,
    crashes = CASE WHEN kind <> 'cache_sync' AND total IS NOT NULL THEN 0 ELSE crashes + 1 END,
    done = CASE kind WHEN 'cache_sync' THEN 0 ELSE done END,
    follow_up = false, started_at = coalesce(started_at, clock_timestamp()),
    lease_until = clock_timestamp() + make_interval(secs => %s)
WHERE task_id = %s AND NOT abort_requested
    AND (status = 'queued' OR (status = 'running' AND lease_until < clock_timestamp()))
RETURNING task_id, kind, product_set, attempts, crashes, total, key_ids
"""

_RUNNING = """
UPDATE tasks SET enqueued_at = NULL
WHERE task_id = %s AND status = 'running' AND lease_until >= clock_timestamp()
RETURNING task_id, kind, product_set, attempts, total, key_ids
"""

# A run whose lease is valid is enqueued, too, where one of its partitions has an ended lease. Where all its workers
# crashed, waiting partitions are thus taken before the leases of the others end.
_CLAIM = """
UPDATE tasks SET enqueued_at = clock_timestamp() WHERE task_id IN (
    SELECT task_id FROM tasks t
    WHERE (status = 'queued' OR (status = 'running' AND (lease_until < clock_timestamp() OR EXISTS (
            SELECT FROM run_partitions r WHERE r.task_id = t.task_id AND r.status = 'running'
                AND r.lease_until < clock_timestamp()
        ) OR (total IS NOT NULL AND lease_until < clock_timestamp() + make_interval(secs => %(stalled_s)s) AND EXISTS (
            SELECT FROM run_partitions r WHERE r.task_id = t.task_id AND r.status = 'waiting')))))
        AND (enqueued_at IS NULL OR enqueued_at < clock_timestamp() - make_interval(
            secs => CASE status WHEN 'queued' THEN %(queued_s)s ELSE %(running_s)s END))
    ORDER BY created_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
RETURNING task_id, kind, traceparent
"""
