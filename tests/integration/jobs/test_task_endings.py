"""How a task ends, and that it stays ended: aborted, quarantined, replayed."""

from uuid import UUID, uuid4

import pytest

from shared.errors import AlreadyEnded, NotFound
from shared.jobs import views as task_views
from shared.postgres.leases import MAX_CRASHES, QUARANTINED
from shared.postgres.pools import Pool
from tests.integration.jobs.conftest import TWO, Tasks


@pytest.mark.parametrize("end", ["succeeded", "failed", "aborted", "skipped"])
def test_a_task_that_has_ended_stays_ended(jobs: Tasks, end: str) -> None:
    task_id = ended(jobs, end)
    before = jobs.view(task_id)
    assert before.status == end
    jobs.retry_later(task_id)
    jobs.fail(task_id)
    jobs.end_aborted(task_id)
    assert jobs.start(task_id) is None
    with pytest.raises(AlreadyEnded, match=end):
        jobs.request_abort(task_id)
    assert jobs.view(task_id) == before
    assert task_id not in jobs.waiting()


def ended(jobs: Tasks, end: str) -> UUID:
    if end == "skipped":
        jobs.started()
        task_id = jobs.create()
        jobs.skip_into_follow_up(task_id)
        return task_id
    task = jobs.started()
    if end == "succeeded":
        jobs.succeed(task)
    elif end == "failed":
        jobs.fail(task.task_id)
    else:
        jobs.request_abort(task.task_id)
        jobs.end_aborted(task.task_id)
    return task.task_id


def test_a_waiting_task_is_aborted_at_once(jobs: Tasks) -> None:
    task_id = jobs.create()
    assert jobs.request_abort(task_id) is False
    assert jobs.status(task_id) == "aborted"
    assert jobs.start(task_id) is None


def test_a_running_task_is_told_and_ends_at_its_next_step(jobs: Tasks) -> None:
    task = jobs.started()
    assert jobs.request_abort(task.task_id) is True
    assert jobs.status(task.task_id) == "running"
    assert not jobs.advance(task, done=1)
    jobs.end_aborted(task.task_id)
    assert jobs.status(task.task_id) == "aborted"


def test_a_task_to_be_aborted_is_not_tried_again(jobs: Tasks) -> None:
    task = jobs.started()
    jobs.request_abort(task.task_id)
    jobs.retry_later(task.task_id)
    assert jobs.status(task.task_id) == "aborted"


def test_a_task_to_be_aborted_whose_worker_died_ends_aborted(jobs: Tasks) -> None:
    task = jobs.started()
    jobs.request_abort(task.task_id)
    jobs.end_lease(task.task_id)
    jobs.claim_waiting()
    assert jobs.start(task.task_id) is None
    assert jobs.status(task.task_id) == "aborted"
    jobs.started(TWO)


def test_ending_an_abort_that_nobody_asked_for_changes_nothing(jobs: Tasks) -> None:
    task = jobs.started()
    jobs.end_aborted(task.task_id)
    assert jobs.status(task.task_id) == "running"


def test_a_task_whose_worker_was_killed_three_times_is_quarantined(jobs: Tasks) -> None:
    task = jobs.started()
    for _ in range(MAX_CRASHES - 1):
        jobs.end_lease(task.task_id)
        assert jobs.start(task.task_id)
    jobs.end_lease(task.task_id)
    assert jobs.start(task.task_id) is None
    view = jobs.view(task.task_id)
    assert (view.status, view.attempts) == ("failed", MAX_CRASHES + 1)
    assert view.error
    assert view.error.type == QUARANTINED
    jobs.started(TWO)


def test_attempts_that_end_in_order_are_no_kills(jobs: Tasks) -> None:
    task_id = jobs.create()
    for _ in range(2 * MAX_CRASHES):
        assert jobs.start(task_id)
        jobs.retry_later(task_id)
    assert jobs.status(task_id) == "queued"


def test_a_failed_task_is_replayed_and_no_other(jobs: Tasks, pool: Pool) -> None:
    task = jobs.started()
    with pool.connection() as conn, pytest.raises(AlreadyEnded, match="running"):
        task_views.replay(conn, task.task_id)
    jobs.fail(task.task_id)
    with pool.connection() as conn:
        task_views.replay(conn, task.task_id)
    assert jobs.waiting() == {task.task_id}
    assert jobs.start(task.task_id)
    with pool.connection() as conn, pytest.raises(NotFound):
        task_views.replay(conn, uuid4())


# ---- follow-ups
