"""Runs: a recalculation is split into key ranges, its partitions, which any number of workers take.

A worker holds a partition under a lease of 12 s and a number, its attempt. The next holder has a higher number. Later
writes of the earlier holder are refused, in the transaction of the write.
"""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from shared.catalogue import product_set
from shared.catalogue.failures import ProductFailure
from shared.catalogue.product_set import ProductFilter, ProductSet
from shared.errors import LeaseLost
from shared.jobs import endings
from shared.jobs.endings import TaskError
from shared.jobs.tasks import RunningTask
from shared.postgres.leases import LEASE_S, MAX_CRASHES, QUARANTINED
from shared.postgres.pools import Conn
from shared.telemetry.metrics import QUARANTINES

MOST_FAILURES = 100


class Partition(msgspec.Struct, frozen=True):
    """A part of a run that this worker holds.

    Attributes:
        attempt: 1 at the first; later attempts put every sheet again.
        before: The first id after the partition; None: it has no end.
    """

    task_id: UUID
    number: int
    attempt: int
    product_set: ProductSet
    first: str
    before: str | None

    @property
    def products(self) -> ProductFilter:
        """The partition's products."""
        return product_set.of_range(self.product_set, self.first, self.before)


def take(conn: Conn, task: RunningTask) -> Partition | None:
    """Hold the next partition that waits, or whose lease has ended; None where there is none.

    Each start is counted before the work, as in `tasks.start`: a partition that crashed its workers three times is
    quarantined. Partitions with crashes come last, so that crashes for another reason spread over all partitions.
    """
    while row := conn.execute(_TAKE, {"task_id": task.task_id, "lease_s": LEASE_S}).fetchone():
        if row["crashes"] <= MAX_CRASHES:
            return Partition(
                task.task_id, row["number"], row["attempts"], task.product_set, row["first"], row["before"]
            )
        conn.execute(
            "UPDATE run_partitions SET status = 'quarantined' WHERE task_id = %s AND number = %s",
            [task.task_id, row["number"]],
        )
        QUARANTINES.labels("partition").inc()
    return None


def waiting(conn: Conn, task_id: UUID) -> int:
    """The number of partitions that wait for a worker."""
    row = conn.execute(
        "SELECT count(*) AS n FROM run_partitions WHERE task_id = %s AND status = 'waiting'", [task_id]
    ).fetchone()
    return int(row["n"]) if row else 0


def hold(conn: Conn, partition: Partition) -> None:
    """Renew the lease; no other worker can take the partition before this transaction ends.

    Raises:
        LeaseLost: another worker holds it, or its run does not run any more; nothing may be written.
    """
    if not conn.execute(_HOLD, _holder(partition) | {"lease_s": LEASE_S}).rowcount:
        raise LeaseLost(f"this worker has lost partition {partition.number}")


def finish(conn: Conn, partition: Partition, done: int, changed: int, failed: Sequence[ProductFailure] = ()) -> None:
    """Count a partition as done, once; call when its sheets are in Redis.

    Args:
        conn: In a transaction.
        partition: The partition, which this worker holds.
        done: The number of its products, the failed ones included.
        changed: The number of its prices that changed.
        failed: The products that could not be decided. The run keeps the first 100, and the number of all.

    Raises:
        LeaseLost: another worker holds it and will count it.
    """
    if not conn.execute(_FINISH, _holder(partition)).rowcount:
        raise LeaseLost(f"this worker has lost partition {partition.number}")
    counted = conn.execute(
        """
        UPDATE tasks SET done = done + %s, changed = changed + %s, error = NULL,
            lease_until = clock_timestamp() + make_interval(secs => %s)
        WHERE task_id = %s AND status = 'running'
        """,
        [done, changed, LEASE_S, partition.task_id],
    )
    if not counted.rowcount:
        raise LeaseLost("the run does not run any more")
    if failed:
        first = msgspec.json.encode(failed[:MOST_FAILURES]).decode()
        conn.execute(_NOTE_FAILED, {"task_id": partition.task_id, "failed": len(failed), "first": first})


def release(conn: Conn, partition: Partition) -> bool:
    """Release a partition that could not be finished; False where another worker has taken it already."""
    return conn.execute(_RELEASE, _holder(partition)).rowcount == 1


def end(conn: Conn, task_id: UUID) -> str | None:
    """End a run that has no open partition, or whose abort is requested.

    Returns:
        The run's status; None where it still runs, or had ended before.
    """
    running = conn.execute(
        "SELECT attempts, total FROM tasks WHERE task_id = %s AND status = 'running' FOR UPDATE", [task_id]
    ).fetchone()
    if running is None:
        return None
    if endings.end_aborted(conn, task_id, running["attempts"]):
        return "aborted"
    if running["total"] is None:
        return None
    left = conn.execute(_LEFT, [task_id]).fetchone()
    assert left  # noqa: S101 # an aggregate returns a row
    if left["open"]:
        return None
    if left["quarantined"]:
        reason = f"{left['quarantined']} of its partitions crashed their workers {MAX_CRASHES} times: {left['ranges']}"
        endings.fail(conn, task_id, running["attempts"], TaskError(QUARANTINED, reason))
        return "failed"
    conn.execute(_SUCCEED, [task_id])
    conn.execute("DELETE FROM run_partitions WHERE task_id = %s", [task_id])
    return "succeeded"


def _holder(partition: Partition) -> dict[str, object]:
    return {"task_id": partition.task_id, "number": partition.number, "attempt": partition.attempt}


_TAKE = """
UPDATE run_partitions SET status = 'running', attempts = attempts + 1, crashes = crashes + 1,
    lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s)
WHERE task_id = %(task_id)s AND number = (
    SELECT number FROM run_partitions
    WHERE task_id = %(task_id)s AND status IN ('waiting', 'running')
        AND (status = 'waiting' OR lease_until < clock_timestamp())
    ORDER BY crashes, number LIMIT 1 FOR UPDATE SKIP LOCKED)
AND EXISTS (SELECT FROM tasks WHERE task_id = %(task_id)s AND status = 'running' AND NOT abort_requested)
RETURNING number, attempts, crashes, first, before
"""

_OURS = "task_id = %(task_id)s AND number = %(number)s AND attempts = %(attempt)s AND status = 'running'"

_HOLD = f"""
UPDATE run_partitions SET lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s)
WHERE {_OURS}
AND EXISTS (SELECT FROM tasks WHERE task_id = %(task_id)s AND status = 'running' AND NOT abort_requested)
"""  # noqa: S608 # only our own condition

_FINISH = f"UPDATE run_partitions SET status = 'done', lease_until = NULL WHERE {_OURS}"  # noqa: S608 # as above

_RELEASE = f"""
UPDATE run_partitions SET status = 'waiting', crashes = crashes - 1, lease_until = NULL WHERE {_OURS}
"""  # noqa: S608 # as above

_NOTE_FAILED = f"""
UPDATE tasks SET failed = failed + %(failed)s,
    failed_products = jsonb_path_query_array(failed_products || %(first)s::jsonb, '$[0 to {MOST_FAILURES - 1}]')
WHERE task_id = %(task_id)s
"""  # noqa: S608 # only our own number

_LEFT = """
SELECT count(*) FILTER (WHERE status IN ('waiting', 'running')) AS open,
    count(*) FILTER (WHERE status = 'quarantined') AS quarantined,
    string_agg(format('%%s to %%s', nullif(first, ''), before), '; ') FILTER (WHERE status = 'quarantined') AS ranges
FROM run_partitions WHERE task_id = %s
"""

_SUCCEED = """
UPDATE tasks SET status = 'succeeded', finished_at = clock_timestamp(), error = NULL,
    result = jsonb_build_object('recalculated', done - failed, 'changed', changed) || CASE failed WHEN 0 THEN '{}'
        ELSE jsonb_build_object('failed', failed, 'failed_products', failed_products) END
WHERE task_id = %s
"""
