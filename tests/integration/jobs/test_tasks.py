"""Background jobs as rows: claimed under a lease, one recalculation at a time, followed up, never lost."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest

from shared.catalogue.product_set import ProductSet
from shared.errors import AlreadyEnded, NotFound
from shared.jobs import merging, tasks
from shared.jobs import views as task_views
from shared.jobs.tasks import Busy, RunningTask, TaskError, WaitingTask
from shared.jobs.views import TaskView
from shared.postgres.leases import MAX_CRASHES, QUARANTINED
from shared.postgres.pools import Pool
from tests.integration.catalogue_examples import at_once

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
AWAY = TaskError("DatabaseUnavailable", "away")
ONE, TWO, BOTH = ProductSet(("P-1",)), ProductSet(("P-2",)), ProductSet(("P-1", "P-2"))


class Tasks:
    """The calls of `shared.jobs.tasks`, each in a transaction of its own."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def create(self, product_set: ProductSet = ONE, kind: str = "recalculation", task_id: UUID | None = None) -> UUID:
        with self._pool.connection() as conn:
            return tasks.create(conn, kind, product_set, TRACEPARENT, task_id)

    def start(self, task_id: UUID) -> RunningTask | None:
        with self._pool.connection() as conn:
            return tasks.start(conn, task_id)

    def started(self, product_set: ProductSet = ONE, kind: str = "recalculation") -> RunningTask:
        running = self.start(self.create(product_set, kind))
        assert running
        return running

    def view(self, task_id: UUID) -> TaskView:
        with self._pool.connection() as conn:
            return task_views.view(conn, task_id)

    def status(self, task_id: UUID) -> str:
        return self.view(task_id).status

    def advance(self, task: RunningTask, done: int = 0, changed: int = 0) -> bool:
        with self._pool.connection() as conn:
            return tasks.advance(conn, task, done=done, changed=changed, total=10)

    def succeed(self, task: RunningTask) -> None:
        with self._pool.connection() as conn:
            tasks.succeed(conn, task)

    def retry_later(self, task_id: UUID) -> None:
        with self._pool.connection() as conn:
            tasks.retry_later(conn, task_id, AWAY)

    def fail(self, task_id: UUID) -> None:
        with self._pool.connection() as conn:
            tasks.fail(conn, task_id, AWAY)

    def request_abort(self, task_id: UUID) -> bool:
        with self._pool.connection() as conn:
            return tasks.request_abort(conn, task_id)

    def end_aborted(self, task_id: UUID) -> None:
        with self._pool.connection() as conn:
            tasks.end_aborted(conn, task_id)

    def claim_waiting(self) -> list[WaitingTask]:
        with self._pool.connection() as conn:
            return tasks.claim_waiting(conn)

    def waiting(self) -> set[UUID]:
        return {task.task_id for task in self.claim_waiting()}

    def skip_if_covered(self, task_id: UUID) -> bool:
        with self._pool.connection() as conn:
            return merging.skip_if_covered(conn, task_id)

    def skip_into_follow_up(self, task_id: UUID) -> bool:
        with self._pool.connection() as conn:
            return merging.skip_into_follow_up(conn, task_id)

    def claim_follow_up(self) -> UUID | None:
        with self._pool.connection() as conn:
            return merging.claim_follow_up(conn)

    def merged_into(self, task_id: UUID) -> UUID:
        view = self.view(task_id)
        assert view.status == "skipped"
        assert view.result
        return UUID(view.result["merged_into"])

    def end_lease(self, task_id: UUID, seconds: int = 60) -> None:
        """As if this much time had gone by."""
        with self._pool.connection() as conn:
            conn.execute(
                "UPDATE tasks SET lease_until = lease_until - make_interval(secs => %(s)s),"
                " enqueued_at = enqueued_at - make_interval(secs => %(s)s) WHERE task_id = %(id)s",
                {"s": seconds, "id": task_id},
            )


@pytest.fixture
def jobs(pool: Pool) -> Iterator[Tasks]:
    """Tasks in an empty table."""
    with pool.connection() as conn:
        conn.execute("TRUNCATE tasks")
    yield Tasks(pool)
    with pool.connection() as conn:
        conn.execute("TRUNCATE tasks")


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
    assert (view.status, view.result, view.error) == ("succeeded", {"recalculated": 10, "changed": 3}, None)
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


def test_what_the_writer_did_itself_is_done(jobs: Tasks, pool: Pool) -> None:
    task_id = jobs.create(kind="cache_sync")
    with pool.connection() as conn:
        tasks.done_by_writer(conn, task_id)
    assert jobs.status(task_id) == "succeeded"


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


def test_a_request_beside_a_running_one_ends_in_the_follow_up(jobs: Tasks) -> None:
    jobs.started(ONE)
    asked = jobs.create(TWO)
    assert jobs.skip_into_follow_up(asked)
    follow_up = jobs.merged_into(asked)
    assert (jobs.status(follow_up), jobs.view(follow_up).product_set) == ("queued", TWO)
    assert jobs.view(follow_up).trace_id == TRACEPARENT.split("-")[1]


def test_all_requests_beside_a_running_one_end_in_the_same_follow_up(jobs: Tasks) -> None:
    jobs.started()
    first, second = jobs.create(ONE), jobs.create(TWO)
    at_once([lambda: jobs.skip_into_follow_up(first), lambda: jobs.skip_into_follow_up(second)])
    assert jobs.merged_into(first) == jobs.merged_into(second)
    assert jobs.view(jobs.merged_into(first)).product_set == BOTH


def test_a_request_for_everything_makes_the_follow_up_one_for_everything(jobs: Tasks) -> None:
    jobs.started()
    first, second = jobs.create(ONE), jobs.create(ProductSet())
    jobs.skip_into_follow_up(first)
    jobs.skip_into_follow_up(second)
    assert jobs.view(jobs.merged_into(first)).product_set.is_everything


def test_the_follow_up_itself_waits_for_its_turn(jobs: Tasks) -> None:
    jobs.started()
    asked = jobs.create()
    jobs.skip_into_follow_up(asked)
    follow_up = jobs.merged_into(asked)
    assert jobs.skip_into_follow_up(follow_up)
    assert jobs.status(follow_up) == "queued"


def test_nothing_is_skipped_where_nothing_runs(jobs: Tasks) -> None:
    asked = jobs.create()
    assert jobs.skip_into_follow_up(asked) is False
    assert jobs.status(asked) == "queued"


def test_the_follow_up_is_taken_when_the_run_has_ended(jobs: Tasks) -> None:
    assert jobs.claim_follow_up() is None
    running = jobs.started()
    asked = jobs.create()
    jobs.skip_into_follow_up(asked)
    jobs.succeed(running)
    follow_up = jobs.claim_follow_up()
    assert follow_up == jobs.merged_into(asked)
    assert jobs.start(follow_up)
    assert jobs.claim_follow_up() is None


def test_the_follow_up_is_not_taken_while_a_run_goes_on(jobs: Tasks) -> None:
    """Else its own message, refused, would ring for it again and again."""
    jobs.started()
    jobs.skip_into_follow_up(jobs.create())
    assert jobs.claim_follow_up() is None


def test_what_is_asked_for_while_the_follow_up_runs_gets_a_follow_up_of_its_own(jobs: Tasks) -> None:
    running = jobs.started()
    first = jobs.create()
    jobs.skip_into_follow_up(first)
    jobs.succeed(running)
    jobs.start(jobs.merged_into(first))
    second = jobs.create()
    jobs.skip_into_follow_up(second)
    assert jobs.merged_into(second) != jobs.merged_into(first)


def test_a_run_that_started_later_and_has_all_its_products_covers_a_request(jobs: Tasks) -> None:
    asked = jobs.create(ONE)
    later = jobs.started(BOTH)
    assert jobs.skip_if_covered(asked)
    assert jobs.merged_into(asked) == later.task_id


def test_a_run_that_has_succeeded_covers_as_well(jobs: Tasks) -> None:
    asked = jobs.create(ONE)
    later = jobs.started(ProductSet())
    jobs.succeed(later)
    assert jobs.skip_if_covered(asked)


def test_a_run_that_started_before_the_request_does_not_cover_it(jobs: Tasks) -> None:
    jobs.started(ProductSet())
    asked = jobs.create(ONE)
    assert not jobs.skip_if_covered(asked)
    assert jobs.status(asked) == "queued"


def test_a_run_of_fewer_products_does_not_cover(jobs: Tasks) -> None:
    asked = jobs.create(BOTH)
    jobs.started(ONE)
    assert not jobs.skip_if_covered(asked)


def test_a_run_that_failed_does_not_cover(jobs: Tasks) -> None:
    asked = jobs.create(ONE)
    jobs.fail(jobs.started(BOTH).task_id)
    assert not jobs.skip_if_covered(asked)


def test_a_publication_covers_no_recalculation(jobs: Tasks) -> None:
    asked = jobs.create(ONE)
    jobs.started(ONE, kind="cache_sync")
    assert not jobs.skip_if_covered(asked)


def test_a_follow_up_is_not_covered_by_a_run_that_started_before_what_was_merged_into_it(jobs: Tasks) -> None:
    running, first = jobs.started(ProductSet()), jobs.create(ONE)
    jobs.skip_into_follow_up(first)
    jobs.succeed(running)
    between = jobs.started(ProductSet())
    second = jobs.create(ONE)
    assert not jobs.skip_if_covered(second)
    jobs.skip_into_follow_up(second)
    follow_up = jobs.merged_into(second)
    assert follow_up == jobs.merged_into(first)
    jobs.succeed(between)
    assert not jobs.skip_if_covered(follow_up)
    assert jobs.claim_follow_up() == follow_up


def test_a_task_that_was_tried_once_is_finished_and_not_skipped(jobs: Tasks) -> None:
    asked = jobs.started(ONE)
    jobs.retry_later(asked.task_id)
    jobs.started(BOTH)
    assert not jobs.skip_if_covered(asked.task_id)


@pytest.mark.parametrize("end", ["failed", "aborted"])
def test_a_run_that_does_not_succeed_passes_on_what_was_merged_into_it(jobs: Tasks, end: str) -> None:
    asked, other = jobs.create(ONE), jobs.create(TWO)
    run = jobs.started(BOTH)
    assert jobs.skip_if_covered(asked)
    assert jobs.skip_if_covered(other)
    if end == "failed":
        jobs.fail(run.task_id)
    else:
        jobs.request_abort(run.task_id)
        jobs.end_aborted(run.task_id)
    follow_up = jobs.merged_into(asked)
    assert follow_up == jobs.merged_into(other) == jobs.claim_follow_up()
    assert jobs.view(follow_up).product_set == BOTH


def test_aborting_the_waiting_follow_up_does_not_drop_what_others_asked_for(jobs: Tasks) -> None:
    running, asked = jobs.started(), jobs.create(ONE)
    jobs.skip_into_follow_up(asked)
    aborted = jobs.merged_into(asked)
    jobs.request_abort(aborted)
    assert jobs.status(aborted) == "aborted"
    jobs.succeed(running)
    assert jobs.merged_into(asked) == jobs.claim_follow_up() != aborted
