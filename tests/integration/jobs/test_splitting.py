"""The split of a run: slice by slice, under a lease that each slice renews."""

from collections.abc import Iterator
from typing import Any

import pytest

from shared.catalogue.product_set import ProductSet, walk
from shared.errors import LeaseLost
from shared.jobs import partitions, splitting, tasks
from shared.jobs.partitions import Partition
from shared.jobs.tasks import RunningTask
from shared.postgres.leases import LEASE_S
from shared.postgres.pools import Pool
from shared.prices import inputs
from shared.rulebook.store import ActivePolicy
from tests.integration.catalogue_examples import new_id, product, write
from tests.integration.jobs.conftest import Tasks

SIZE = 2
CHOSEN = """
SELECT p.product_id, count(r.number) AS partitions FROM products p
LEFT JOIN run_partitions r ON r.task_id = %s AND p.product_id >= r.first
    AND (r.before IS NULL OR p.product_id < r.before)
WHERE p.product_id = ANY(%s) GROUP BY p.product_id
"""


@pytest.fixture(autouse=True)
def no_partitions(pool: Pool) -> Iterator[None]:
    with pool.connection() as conn:
        conn.execute("TRUNCATE run_partitions")
    yield
    with pool.connection() as conn:
        conn.execute("TRUNCATE run_partitions")


@pytest.fixture
def category(pool: Pool, policy: ActivePolicy) -> tuple[str, list[str]]:
    """A category of eleven products."""
    category = new_id()
    ids = sorted(new_id() for _ in range(11))
    write(pool, policy, *(product(each, category=category) for each in ids))
    return category, ids


def rows(pool: Pool, task: RunningTask) -> list[dict[str, Any]]:
    query = "SELECT number, first, before, size FROM run_partitions WHERE task_id = %s ORDER BY number"
    with pool.connection() as conn:
        return conn.execute(query, [task.task_id]).fetchall()


@pytest.mark.parametrize("slice_size", [1, 2, 3, 50])
@pytest.mark.parametrize("kind", ["everything", "category", "ids", "categories and ids", "nothing"])
def test_every_product_is_in_one_partition_whatever_the_slices(
    jobs: Tasks, pool: Pool, policy: ActivePolicy, category: tuple[str, list[str]], kind: str, slice_size: int
) -> None:
    name, ids = category
    other = sorted(new_id() for _ in range(3))
    write(pool, policy, *(product(each, category=new_id()) for each in other))
    product_set = {
        "everything": ProductSet(),
        "category": ProductSet(categories=(name,)),
        "ids": ProductSet(tuple(ids)),
        # Some of the ids are in the category, and one is in neither.
        "categories and ids": ProductSet((*other, *ids[:4], "unknown"), (name, "unknown")),
        "nothing": ProductSet(("unknown",)),
    }[kind]
    task = jobs.started(product_set)
    total = splitting.split(pool, task, SIZE, slice_size)
    found = rows(pool, task)
    assert jobs.view(task.task_id).progress.total == total == sum(row["size"] for row in found)
    assert [row["number"] for row in found] == list(range(len(found)))
    assert all(row["size"] == SIZE for row in found[:-1])
    assert [row["first"] for row in found[1:]] == [row["before"] for row in found[:-1]]
    if found:
        assert (found[0]["first"], found[-1]["before"]) == ("", None)
    chosen = {"everything": [*ids, *other], "nothing": [], "categories and ids": [*ids, *other]}.get(kind, ids)
    with pool.connection() as conn:
        counts = {row["product_id"]: row["partitions"] for row in conn.execute(CHOSEN, [task.task_id, chosen])}
        read = [len(inputs.ids(conn, partition.products)) for partition in taken(pool, task)]
    assert counts == dict.fromkeys(chosen, 1)
    assert sum(read) == total
    assert kind == "everything" or total == len(chosen)


def taken(pool: Pool, task: RunningTask) -> Iterator[Partition]:
    with pool.connection() as conn:
        while partition := partitions.take(conn, task):
            yield partition


def test_each_slice_renews_the_lease(jobs: Tasks, pool: Pool, category: tuple[str, list[str]]) -> None:
    """All slices together last far longer than the lease."""
    task = jobs.started(ProductSet(categories=(category[0],)))
    slices = []

    def nearly_over() -> None:
        jobs.end_lease(task.task_id, seconds=LEASE_S - 2)
        slices.append(jobs.waiting())
        # Another worker that has a message for the run cannot start it.
        assert jobs.start(task.task_id) is None

    assert splitting.split(pool, task, SIZE, 1, nearly_over) == 11
    assert slices == [set()] * 6
    assert jobs.view(task.task_id).attempts == 1


def test_a_worker_whose_run_was_taken_over_adds_no_further_slice(
    jobs: Tasks, pool: Pool, category: tuple[str, list[str]]
) -> None:
    task = jobs.started(ProductSet(categories=(category[0],)))
    other: list[RunningTask] = []

    def take_over() -> None:
        if len(rows(pool, task)) == 2 and not other:
            jobs.end_lease(task.task_id)
            started = jobs.start(task.task_id)
            assert started
            other.append(started)

    with pytest.raises(LeaseLost):
        splitting.split(pool, task, SIZE, 1, take_over)
    assert (len(rows(pool, task)), jobs.view(task.task_id).progress.total) == (2, None)
    # The other one starts over, in other slices.
    assert splitting.split(pool, other[0], SIZE + 1) == 11
    assert [row["size"] for row in rows(pool, task)] == [3, 3, 3, 2]


def test_a_run_whose_abort_is_requested_is_split_no_further(
    jobs: Tasks, pool: Pool, category: tuple[str, list[str]]
) -> None:
    task = jobs.started(ProductSet(categories=(category[0],)))
    with pytest.raises(LeaseLost):
        splitting.split(pool, task, SIZE, 1, lambda: abort(jobs, task))
    assert rows(pool, task) == []


def abort(jobs: Tasks, task: RunningTask) -> None:
    jobs.request_abort(task.task_id)


@pytest.mark.parametrize("kind", ["everything", "category"])
def test_a_slice_reads_its_own_products_and_no_more(
    jobs: Tasks, pool: Pool, category: tuple[str, list[str]], kind: str
) -> None:
    """However large the catalogue is: each scan ends at the slice's limit."""
    chosen = ProductSet() if kind == "everything" else ProductSet(categories=(category[0],))
    query = walk(chosen, "", 3)
    with pool.connection() as conn:
        conn.execute("SET LOCAL enable_seqscan = off")
        conn.execute("SET LOCAL enable_bitmapscan = off")
        plan = conn.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query.condition}".encode(), query.values).fetchone()
    assert plan
    scans = list(_scans(plan["QUERY PLAN"][0]["Plan"]))
    assert scans
    assert all(scan["Actual Rows"] <= 3 for scan in scans)


def _scans(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "Scan" in node["Node Type"] and node.get("Relation Name") == "products":
        yield node
    for child in node.get("Plans", ()):
        yield from _scans(child)


def test_a_task_that_is_split_counts_no_crash(jobs: Tasks, pool: Pool) -> None:
    task = jobs.started(ProductSet(("unknown",)))
    splitting.split(pool, task)
    with pool.connection() as conn:
        row = conn.execute("SELECT crashes FROM tasks WHERE task_id = %s", [task.task_id]).fetchone()
        assert row == {"crashes": 0}
        assert tasks.status(conn, task.task_id) == "running"
