"""Background jobs as rows: claimed under a lease, one recalculation at a time, never lost."""

from uuid import UUID, uuid4

import pytest

from shared.errors import NotFound
from shared.jobs import tasks
from shared.jobs.tasks import Busy, RunningTask
from shared.jobs.views import TaskResult
from shared.postgres.pools import Pool
from tests.integration.catalogue_examples import at_once
from tests.integration.jobs.conftest import AWAY, BOTH, ONE, TRACEPARENT, TWO, Tasks


def test_a_new_task_waits(jobs: Tasks) -> None:
    view = jobs.view(jobs.create(BOTH))
    assert (view.status, view.kind, view.product_set, view.attempts) == ("queued", "recalculation", BOTH, 0)
    assert (view.progress.done, view.progress.total, view.result, view.error) == (0, None, None, None)
    assert view.trace_id == TRACEPARENT.split("-")[1]
    assert (view.started_at, view.finished_at) == (None, None)


def test_a_task_that_is_asked_for_twice_is_one(jobs: Tasks) -> None:
    task_id = uuid4()
    assert jobs.create(ONE, task_id=task_id) == jobs.create(TWO, task_id=task_id) == task_id
    assert jobs.view(task_id).product_set == ONE


def test_an_unknown_task_is_not_found(jobs: Tasks) -> None:
    with pytest.raises(NotFound):
        jobs.view(uuid4())
    with pytest.raises(NotFound):
        jobs.request_abort(uuid4())
    assert jobs.start(uuid4()) is None


def test_a_started_task_runs_under_its_starter(jobs: Tasks) -> None:
    task_id = jobs.create(BOTH)
    assert jobs.start(task_id) == RunningTask(task_id, "recalculation", BOTH, attempt=1, total=None)
    assert jobs.view(task_id).started_at is not None
    assert jobs.status(task_id) == "running"


def test_a_second_starter_gets_nothing(jobs: Tasks) -> None:
    task = jobs.started()
    assert jobs.start(task.task_id) is None
    assert jobs.view(task.task_id).attempts == 1


def test_one_of_several_starters_at_once_gets_it(jobs: Tasks) -> None:
    task_id = jobs.create()
    started = at_once([lambda: jobs.start(task_id)] * 4)
    assert sum(task is not None for task in started) == 1


def test_a_second_recalculation_is_refused_while_one_runs(jobs: Tasks) -> None:
    running, other = jobs.started(), jobs.create(TWO)
    with pytest.raises(Busy):
        jobs.start(other)
    assert (jobs.status(other), jobs.view(other).attempts) == ("queued", 0)
    jobs.succeed(running)
    assert jobs.start(other)


def test_one_of_several_recalculations_started_at_once_runs(jobs: Tasks) -> None:
    ids = [jobs.create() for _ in range(4)]

    def start(task_id: UUID) -> str:
        try:
            return "runs" if jobs.start(task_id) else "nothing"
        except Busy:
            return "busy"

    answers = at_once([lambda task_id=task_id: start(task_id) for task_id in ids])  # type: ignore[misc]
    assert sorted(answers) == ["busy", "busy", "busy", "runs"]


def test_publications_run_beside_anything(jobs: Tasks) -> None:
    jobs.started()
    jobs.started(kind="cache_sync")
    jobs.started(kind="cache_sync")


def test_a_task_whose_lease_has_ended_goes_on_where_it_stood(jobs: Tasks) -> None:
    first = jobs.started()
    assert jobs.advance(first, done=4, changed=2)
    jobs.end_lease(first.task_id)
    second = jobs.start(first.task_id)
    assert second == RunningTask(first.task_id, "recalculation", ONE, attempt=2, total=10)


def test_a_worker_that_lost_its_task_can_no_longer_write_to_it(jobs: Tasks) -> None:
    first = jobs.started()
    jobs.end_lease(first.task_id)
    second = jobs.start(first.task_id)
    assert second
    assert not jobs.advance(first, done=5)
    jobs.succeed(first)
    assert jobs.status(first.task_id) == "running"
    assert jobs.view(first.task_id).progress.done == 0
    assert jobs.advance(second, done=1)


def test_progress_renews_the_lease(jobs: Tasks) -> None:
    task = jobs.started()
    jobs.end_lease(task.task_id)
    assert jobs.advance(task)
    assert jobs.start(task.task_id) is None


def test_a_task_that_succeeds_says_what_it_did(jobs: Tasks) -> None:
    task = jobs.started()
    jobs.advance(task, done=4, changed=1)
    jobs.advance(task, done=6, changed=2)
    jobs.succeed(task)
    view = jobs.view(task.task_id)
    assert (view.status, view.result, view.error) == ("succeeded", TaskResult(recalculated=10, changed=3), None)
    assert (view.progress.done, view.progress.total) == (10, 10)
    assert view.finished_at is not None
    assert jobs.start(task.task_id) is None


def test_between_two_attempts_a_task_is_queued_with_its_error(jobs: Tasks) -> None:
    task = jobs.started()
    jobs.advance(task, done=4)
    jobs.retry_later(task.task_id)
    view = jobs.view(task.task_id)
    assert (view.status, view.error, view.attempts) == ("queued", AWAY, 1)
    again = jobs.start(task.task_id)
    assert again
    assert (again.attempt, again.total) == (2, 10)
    jobs.succeed(again)
    assert jobs.view(task.task_id).error is None


def test_the_sweep_leaves_a_task_alone_whose_retry_is_due(jobs: Tasks) -> None:
    task = jobs.started()
    jobs.retry_later(task.task_id)
    assert jobs.waiting() == set()
    jobs.end_lease(task.task_id, seconds=tasks.REDELIVER_AFTER_S + 1)
    assert jobs.waiting() == {task.task_id}


def test_a_failed_task_has_its_error_and_makes_room_for_the_next(jobs: Tasks) -> None:
    task = jobs.started()
    jobs.fail(task.task_id)
    view = jobs.view(task.task_id)
    assert (view.status, view.error) == ("failed", AWAY)
    assert view.finished_at is not None
    jobs.started(TWO)


def test_what_the_writer_did_itself_is_done(jobs: Tasks, pool: Pool) -> None:
    task_id = jobs.create(kind="cache_sync")
    with pool.connection() as conn:
        tasks.done_by_writer(conn, task_id)
    assert jobs.status(task_id) == "succeeded"
