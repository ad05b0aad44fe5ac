"""The split of a run into partitions: a walk over its products in the order of their ids, one slice at a time.

Each slice is a short transaction, which renews the run's lease. Ten million products are 200 slices.
"""

from collections.abc import Callable

import msgspec

from shared.catalogue import product_set
from shared.errors import LeaseLost
from shared.jobs import tasks
from shared.jobs.tasks import RunningTask
from shared.postgres.pools import Conn, Pool

# Small enough that the rows are locked for a fraction of a second, large enough that commits cost little.
PRODUCTS_PER_PARTITION = 1_000
PARTITIONS_PER_SLICE = 50


class _Walked(msgspec.Struct, frozen=True):
    """The first product of the next slice, None where there is none; and the products of the slices before."""

    first: str | None
    products: int


def split(
    pool: Pool,
    task: RunningTask,
    size: int = PRODUCTS_PER_PARTITION,
    slice_size: int = PARTITIONS_PER_SLICE,
    before_slice: Callable[[], None] = lambda: None,
) -> int:
    """Split a run's product set into partitions; returns the number of its products.

    A split that broke off starts over.

    Args:
        pool: One connection at a time is taken.
        task: The run.
        size: Products per partition.
        slice_size: Partitions per slice.
        before_slice: Called before each slice; the split ends with what it raises.

    Raises:
        LeaseLost: another worker took the run over, or its abort is requested.
    """
    walked = _Walked("", 0)
    while walked.first is not None:
        before_slice()
        with pool.connection() as conn:
            walked = _add_slice(conn, task, walked, size, slice_size)
    return walked.products


def _add_slice(conn: Conn, task: RunningTask, walked: _Walked, size: int, slice_size: int) -> _Walked:
    # First of all: it locks the run's row, and no other worker can take the run over before the commit.
    if not tasks.advance(conn, task):
        raise LeaseLost("another worker took the run over, or its abort is requested")
    if not walked.products:
        conn.execute("DELETE FROM run_partitions WHERE task_id = %s", [task.task_id])
    walk = product_set.walk(task.product_set, walked.first or "", size * slice_size + 1)
    values = {"task_id": task.task_id, "size": size, "most": size * slice_size, "before": walked.products}
    row = conn.execute(_ADD_SLICE.format(walk.condition).encode(), walk.values | values).fetchone()
    assert row  # noqa: S101 # an aggregate returns a row
    further = _Walked(row["following"], walked.products + row["products"])
    if further.first is None:
        if not further.products and task.kind == "plan":  # of new products alone
            conn.execute(_ADD_EMPTY, [task.task_id])
        tasks.advance(conn, task, total=further.products)
        conn.execute("UPDATE tasks SET crashes = 0 WHERE task_id = %s", [task.task_id])
    return further


_ADD_EMPTY = "INSERT INTO run_partitions (task_id, number, first, size) VALUES (%s, 0, '', 0)"

# The walk returns one product more than the slice has: the first one of the next slice, and the end of the last
# partition.
_ADD_SLICE = """
WITH numbered AS MATERIALIZED ({}), bounds AS (
    SELECT n, product_id, lead(product_id) OVER (ORDER BY n) AS following FROM numbered WHERE n %% %(size)s = 0
), added AS (
    INSERT INTO run_partitions (task_id, number, first, before, size)
    SELECT %(task_id)s, (%(before)s + n) / %(size)s, CASE %(before)s + n WHEN 0 THEN '' ELSE product_id END, following,
        least(%(size)s, (SELECT count(*) FROM numbered) - n)
    FROM bounds WHERE n < %(most)s
)
SELECT count(*) FILTER (WHERE n < %(most)s) AS products, max(product_id) FILTER (WHERE n = %(most)s) AS following
FROM numbered
"""
