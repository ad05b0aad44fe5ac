"""Tasks that wait, or whose worker is gone, are given to one sweep."""

from shared.jobs import tasks
from shared.jobs.tasks import WaitingTask
from shared.postgres.pools import Pool
from tests.integration.catalogue_examples import at_once
from tests.integration.jobs.conftest import TRACEPARENT, Tasks


def test_a_waiting_task_is_given_to_one_sweep(jobs: Tasks) -> None:
    ids = {jobs.create() for _ in range(3)}
    found = at_once([jobs.claim_waiting] * 3)
    claimed = [task.task_id for batch in found for task in batch]
    assert set(claimed) == ids
    assert len(claimed) == 3
    assert jobs.claim_waiting() == []


def test_a_waiting_task_is_rung_for_again_after_a_while(jobs: Tasks) -> None:
    task_id = jobs.create()
    assert jobs.claim_waiting() == [WaitingTask(task_id, "recalculation", TRACEPARENT)]
    jobs.end_lease(task_id, seconds=tasks.REDELIVER_AFTER_S + 1)
    assert jobs.waiting() == {task_id}


def test_a_task_that_could_not_be_rung_for_is_given_again_at_once(jobs: Tasks, pool: Pool) -> None:
    task_id = jobs.create()
    claimed = jobs.claim_waiting()
    with pool.connection() as conn:
        tasks.release(conn, [task.task_id for task in claimed])
    assert jobs.waiting() == {task_id}


def test_the_sweep_finds_a_task_whose_worker_is_gone_and_no_other(jobs: Tasks, pool: Pool) -> None:
    task_id = jobs.create()
    with pool.connection() as conn:
        tasks.claim_one(conn, task_id)
    assert jobs.start(task_id)
    assert jobs.waiting() == set()
    jobs.end_lease(task_id)
    assert jobs.waiting() == {task_id}


def test_the_sweep_finds_a_running_task_that_could_not_be_rung_for(jobs: Tasks, pool: Pool) -> None:
    """Its worker is gone, and Redis was away when the sweep found it first."""
    task_id = jobs.create()
    jobs.claim_waiting()
    jobs.start(task_id)
    jobs.end_lease(task_id)
    claimed = jobs.claim_waiting()
    assert [task.task_id for task in claimed] == [task_id]
    with pool.connection() as conn:
        tasks.release(conn, [task.task_id for task in claimed])
    assert jobs.waiting() == {task_id}
