"""A worker that lost its task changes nothing of it: A was frozen, and B has taken the task over."""

from collections.abc import Callable, Iterator

import pytest

from shared.catalogue.product_set import ProductSet
from shared.jobs import endings, partitions, splitting, tasks
from shared.jobs.tasks import RunningTask
from shared.postgres.pools import Conn, Pool
from shared.rulebook.store import ActivePolicy
from tests.integration.catalogue_examples import new_id, product, write
from tests.integration.jobs.conftest import AWAY, ONE, Tasks

Late = Callable[[Conn, RunningTask], bool]

# The calls of a worker that has started its task, and those of one that could not start it.
STARTED: dict[str, Late] = {
    "retry_later": lambda conn, task: endings.retry_later(conn, task.task_id, task.attempt, AWAY),
    "fail": lambda conn, task: endings.fail(conn, task.task_id, task.attempt, AWAY),
    "end_aborted": lambda conn, task: endings.end_aborted(conn, task.task_id, task.attempt),
    "advance": lambda conn, task: tasks.advance(conn, task, done=1),
    "succeed": lambda conn, task: tasks.succeed(conn, task),
}
UNSTARTED: dict[str, Late] = {
    "retry_later_unstarted": lambda conn, task: endings.retry_later(conn, task.task_id, None, AWAY),
    "fail_unstarted": lambda conn, task: endings.fail(conn, task.task_id, None, AWAY),
}
ANY = STARTED | UNSTARTED


@pytest.mark.parametrize("late", ANY.values(), ids=ANY)
@pytest.mark.parametrize("kind", ["recalculation", "cache_sync"])
def test_a_worker_whose_task_was_taken_over_changes_nothing(jobs: Tasks, pool: Pool, kind: str, late: Late) -> None:
    frozen = jobs.started(kind=kind)
    jobs.end_lease(frozen.task_id)
    other = jobs.start(frozen.task_id)
    assert other
    if late is STARTED["end_aborted"]:
        jobs.request_abort(frozen.task_id)
    before = row(pool, frozen)
    with pool.connection() as conn:
        assert not late(conn, frozen)
    assert row(pool, frozen) == before
    # The other one goes on as if nothing had been.
    jobs.advance(other, done=10)
    if late is not STARTED["end_aborted"]:
        jobs.succeed(other)
        assert jobs.status(frozen.task_id) == "succeeded"


@pytest.mark.parametrize("late", STARTED.values(), ids=STARTED)
def test_a_worker_whose_task_waits_for_its_next_attempt_changes_nothing(jobs: Tasks, pool: Pool, late: Late) -> None:
    frozen = jobs.started()
    jobs.end_lease(frozen.task_id)
    assert jobs.start(frozen.task_id)
    assert jobs.retry_later(frozen.task_id)
    before = row(pool, frozen)
    with pool.connection() as conn:
        assert not late(conn, frozen)
    assert row(pool, frozen) == before


@pytest.fixture
def run(jobs: Tasks, pool: Pool, policy: ActivePolicy) -> Iterator[RunningTask]:
    """A run in three partitions."""
    ids = [new_id() for _ in range(3)]
    write(pool, policy, *map(product, ids))
    task = jobs.started(ProductSet(tuple(ids)))
    splitting.split(pool, task, 1)
    yield task
    with pool.connection() as conn:
        conn.execute("TRUNCATE run_partitions")


@pytest.mark.parametrize("late", [STARTED["retry_later"], STARTED["fail"]], ids=["retry_later", "fail"])
def test_a_run_is_not_ended_while_another_worker_holds_a_partition_of_it(
    jobs: Tasks, pool: Pool, run: RunningTask, late: Late
) -> None:
    """Both work in the same attempt of the run."""
    with pool.connection() as conn:
        held = partitions.take(conn, run)
    assert held
    before = row(pool, run)
    with pool.connection() as conn:
        assert not late(conn, run)
    assert row(pool, run) == before
    with pool.connection() as conn:
        partitions.hold(conn, held)
        partitions.finish(conn, held, 1, 0)
        # Alone, it may.
        assert late(conn, run)
    assert jobs.status(run.task_id) in ("queued", "failed")


def test_a_partition_whose_holder_is_gone_keeps_no_run_from_its_end(jobs: Tasks, pool: Pool, run: RunningTask) -> None:
    with pool.connection() as conn:
        partitions.take(conn, run)
        conn.execute("UPDATE run_partitions SET lease_until = lease_until - interval '1 minute'")
    assert jobs.fail(run.task_id)
    assert jobs.status(run.task_id) == "failed"


def test_a_run_that_is_not_split_yet_is_not_ended_by_a_late_worker(jobs: Tasks, pool: Pool) -> None:
    task = jobs.started(ONE)
    with pool.connection() as conn:
        assert partitions.end(conn, task.task_id) is None
    assert jobs.status(task.task_id) == "running"


def row(pool: Pool, task: RunningTask) -> dict[str, object]:
    """The whole row of a task."""
    with pool.connection() as conn:
        found = conn.execute("SELECT to_jsonb(t) AS row FROM tasks t WHERE task_id = %s", [task.task_id]).fetchone()
    assert found
    return dict(found["row"])
