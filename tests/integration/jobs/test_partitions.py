"""Runs in partitions: taken by any number of workers, counted once, fenced, never lost."""

from collections.abc import Iterator
from uuid import UUID

import pytest

from shared.catalogue.product_set import ProductSet
from shared.errors import LeaseLost
from shared.jobs import endings, partitions, splitting, tasks
from shared.jobs import views as task_views
from shared.jobs.endings import TaskError
from shared.jobs.partitions import Partition
from shared.jobs.tasks import RunningTask
from shared.jobs.views import TaskResult, TaskView
from shared.postgres.leases import MAX_CRASHES, QUARANTINED
from shared.postgres.pools import Pool
from shared.prices import inputs
from shared.rulebook.store import ActivePolicy
from tests.integration.catalogue_examples import at_once, new_id, product, write

SIZE = 2


class Run:
    """A run over five products in partitions of two, each call in a transaction of its own."""

    def __init__(self, pool: Pool, task: RunningTask, ids: list[str]) -> None:
        self._pool, self.task, self.ids = pool, task, ids

    @property
    def task_id(self) -> UUID:
        return self.task.task_id

    def take(self) -> Partition | None:
        with self._pool.connection() as conn:
            return partitions.take(conn, self.task)

    def taken(self) -> Partition:
        partition = self.take()
        assert partition
        return partition

    def products(self, partition: Partition) -> list[str]:
        with self._pool.connection() as conn:
            return sorted(inputs.ids(conn, partition.products))

    def hold(self, partition: Partition) -> None:
        with self._pool.connection() as conn:
            partitions.hold(conn, partition)

    def finish(self, partition: Partition, done: int = 1) -> None:
        with self._pool.connection() as conn:
            partitions.finish(conn, partition, done, 0)

    def release(self, partition: Partition) -> bool:
        with self._pool.connection() as conn:
            return partitions.release(conn, partition)

    def end(self) -> str | None:
        with self._pool.connection() as conn:
            return partitions.end(conn, self.task_id)

    def view(self) -> TaskView:
        with self._pool.connection() as conn:
            return task_views.view(conn, self.task_id)

    def sql(self, query: str) -> None:
        with self._pool.connection() as conn:
            conn.execute(query.encode(), [self.task_id])

    def end_leases(self) -> None:
        """As if the holders had been gone for a while."""
        self.sql("UPDATE run_partitions SET lease_until = lease_until - interval '1 minute' WHERE task_id = %s")

    def is_rung_for(self) -> bool:
        with self._pool.connection() as conn:
            return self.task_id in {task.task_id for task in tasks.claim_waiting(conn)}


@pytest.fixture
def run(pool: Pool, policy: ActivePolicy) -> Iterator[Run]:
    category = new_id()
    ids = sorted(new_id() for _ in range(5))
    write(pool, policy, *(product(product_id, category=category) for product_id in ids))
    with pool.connection() as conn:
        conn.execute("TRUNCATE tasks, run_partitions")
        task = tasks.start(conn, tasks.create(conn, "recalculation", ProductSet(categories=(category,)), ""))
    assert task
    assert splitting.split(pool, task, SIZE) == 5
    yield Run(pool, task, ids)
    with pool.connection() as conn:
        conn.execute("TRUNCATE tasks, run_partitions")


def test_a_run_whose_workers_all_died_goes_on_with_what_waits_before_their_leases_end(run: Run) -> None:
    run.take()
    assert not run.is_rung_for()
    run.sql("UPDATE tasks SET lease_until = lease_until - interval '3 seconds' WHERE task_id = %s")
    assert run.is_rung_for()
    assert not run.is_rung_for()
    run.sql("UPDATE tasks SET enqueued_at = enqueued_at - interval '6 seconds' WHERE task_id = %s")
    assert run.is_rung_for()


def test_a_run_of_which_nothing_waits_is_left_to_those_who_work_on_it(run: Run) -> None:
    while run.take():
        pass
    run.sql("UPDATE tasks SET lease_until = lease_until - interval '3 seconds' WHERE task_id = %s")
    assert not run.is_rung_for()


def test_every_product_is_in_one_partition(run: Run) -> None:
    partitions = [run.taken() for _ in range(3)]
    assert run.take() is None
    assert [run.products(partition) for partition in partitions] == [run.ids[:2], run.ids[2:4], run.ids[4:]]
    assert run.view().progress.total == 5


def test_a_product_that_is_added_meanwhile_is_in_a_partition(run: Run, pool: Pool, policy: ActivePolicy) -> None:
    partitions = [run.taken() for _ in range(3)]
    product_set = run.task.product_set
    added = ["A-" + new_id(), "Z-" + new_id()]
    write(pool, policy, *(product(product_id, category=product_set.categories[0]) for product_id in added))
    found = [product_id for partition in partitions for product_id in run.products(partition)]
    assert found == sorted([*run.ids, *added])


def test_workers_that_take_at_once_take_different_ones(run: Run) -> None:
    taken = at_once([run.take] * 5)
    assert sorted(partition.number for partition in taken if partition) == [0, 1, 2]


def test_the_last_one_ends_the_run_and_progress_counts_each_once(run: Run) -> None:
    partitions = [run.taken() for _ in range(3)]
    for partition in partitions:
        assert run.end() is None
        run.finish(partition, done=len(run.products(partition)))
        with pytest.raises(LeaseLost):
            run.finish(partition, done=2)
    assert run.view().progress.done == 5
    assert run.end() == "succeeded"
    assert run.view().result == TaskResult(recalculated=5, changed=0)
    assert run.end() is None


def test_the_last_two_that_finish_at_once_end_the_run(run: Run, pool: Pool) -> None:
    first, *others = [run.taken() for _ in range(3)]
    run.finish(first)

    def finish(partition: Partition) -> str | None:
        with pool.connection() as conn:
            partitions.finish(conn, partition, 2, 0)
            return partitions.end(conn, run.task_id)

    ends = at_once([lambda one=one: finish(one) for one in others])  # type: ignore[misc]
    assert sorted(map(str, ends)) == ["None", "succeeded"]


def test_what_a_dead_worker_held_is_taken_again_and_it_can_write_no_more(run: Run) -> None:
    stale, *_ = [run.taken() for _ in range(3)]
    run.end_leases()
    again = run.taken()
    assert (again.number, again.attempt) == (stale.number, stale.attempt + 1)
    for write_of_the_dead in (run.hold, run.finish):
        with pytest.raises(LeaseLost):
            write_of_the_dead(stale)
    assert not run.release(stale)
    run.hold(again)
    run.finish(again)


def test_the_sweep_finds_a_partition_whose_holder_is_gone_while_others_work(run: Run) -> None:
    run.taken()
    assert not run.is_rung_for()
    run.end_leases()
    assert run.is_rung_for()


def test_what_is_held_is_not_given_away(run: Run) -> None:
    partition = run.taken()
    run.end_leases()
    run.hold(partition)
    assert run.taken().number != partition.number


def test_what_is_handed_back_is_given_again_and_is_no_kill(run: Run) -> None:
    for _ in range(2 * MAX_CRASHES):
        partition = run.taken()
        assert partition.number == 0
        assert run.release(partition)


def test_a_partition_that_killed_its_workers_is_quarantined_and_the_others_go_on(run: Run) -> None:
    killer, *others = [run.taken() for _ in range(3)]
    for partition in others:
        run.finish(partition, done=2)
    for _ in range(MAX_CRASHES - 1):
        run.end_leases()
        assert run.taken().number == killer.number
    run.end_leases()
    assert run.take() is None
    assert run.end() == "failed"
    view = run.view()
    assert view.error
    assert (view.error.type, view.progress.done) == (QUARANTINED, 4)


def test_a_run_that_is_continued_again_and_again_is_no_killer(run: Run, pool: Pool) -> None:
    """Its workers were killed many times, each time over another partition."""
    for _ in range(2 * MAX_CRASHES):
        run.sql("UPDATE tasks SET lease_until = lease_until - interval '1 minute' WHERE task_id = %s")
        with pool.connection() as conn:
            assert tasks.start(conn, run.task_id)
    assert run.view().status == "running"


def test_what_may_be_to_blame_is_taken_last(run: Run) -> None:
    assert run.taken().number == 0
    run.end_leases()
    assert [run.taken().number for _ in range(3)] == [1, 2, 0]


def test_a_replayed_run_does_what_was_not_done(run: Run, pool: Pool) -> None:
    test_a_partition_that_killed_its_workers_is_quarantined_and_the_others_go_on(run)
    with pool.connection() as conn:
        task_views.replay(conn, run.task_id)
        assert tasks.start(conn, run.task_id)
    run.finish(run.taken())
    assert run.take() is None
    assert run.end() == "succeeded"


def test_a_run_to_be_aborted_gives_out_nothing_and_ends(run: Run, pool: Pool) -> None:
    partition = run.taken()
    with pool.connection() as conn:
        assert tasks.request_abort(conn, run.task_id)
    with pytest.raises(LeaseLost):
        run.hold(partition)
    assert run.take() is None
    assert run.end() == "aborted"
    assert run.view().status == "aborted"


def test_while_a_run_waits_for_its_next_attempt_nothing_is_written(run: Run, pool: Pool) -> None:
    partition = run.taken()
    run.end_leases()
    with pool.connection() as conn:
        assert endings.retry_later(conn, run.task_id, run.task.attempt, TaskError("DatabaseUnavailable", "away"))
    with pytest.raises(LeaseLost):
        run.hold(partition)
    assert run.release(partition)
    assert run.take() is None


def test_a_run_of_no_products_ends_at_once(pool: Pool) -> None:
    with pool.connection() as conn:
        conn.execute("TRUNCATE tasks, run_partitions")
        task = tasks.start(conn, tasks.create(conn, "recalculation", ProductSet(("unknown",)), ""))
    assert task
    assert splitting.split(pool, task) == 0
    with pool.connection() as conn:
        assert partitions.take(conn, task) is None
        assert partitions.end(conn, task.task_id) == "succeeded"


def test_a_run_that_another_worker_took_over_is_not_split_by_the_first(pool: Pool) -> None:
    with pool.connection() as conn:
        conn.execute("TRUNCATE tasks, run_partitions")
        task = tasks.start(conn, tasks.create(conn, "recalculation", ProductSet(), ""))
        assert task
        conn.execute("UPDATE tasks SET lease_until = now() - interval '1 minute'")
        assert tasks.start(conn, task.task_id)
    with pytest.raises(LeaseLost):
        splitting.split(pool, task)
