"""The row of a task after an attempt that ended by an error."""

from collections.abc import Callable
from uuid import UUID

import msgspec
import pytest
import redis
from dramatiq import Message, MessageProxy
from dramatiq_abort import Abort

from shared import errors
from shared.catalogue.product_set import ProductSet
from shared.jobs import merging, partitions, tasks
from shared.jobs import views as task_views
from shared.jobs.tasks import RunningTask
from shared.jobs.views import TaskView
from shared.messaging import clients
from shared.messaging.lock import RecalculationLock
from shared.postgres.pools import Pool
from tests.integration.workers.attempts import ATTEMPTS, Attempt, each_attempt
from tests.integration.workers.conftest import Queues
from workers.completion import TRACEBACK_CHARS, Completion
from workers.services import Services

pytestmark = pytest.mark.usefixtures("no_tasks")
ONE, TWO = ProductSet(("P-1",)), ProductSet(("P-2",))
Starting = Callable[..., RunningTask]


@pytest.fixture
def started(pool: Pool, services: Services) -> Starting:
    """Creates a task, and has a worker start it; a run with the lock."""

    def started(kind: str = "recalculation", product_set: ProductSet = ONE) -> RunningTask:
        with pool.connection() as conn:
            task_id = tasks.create(conn, kind, product_set, "")
            task = tasks.start(conn, task_id)
        assert task
        if kind == "recalculation":
            assert services.lock.acquire(task_id)
        services.claim.task = task
        return task

    return started


@pytest.fixture
def completion(services: Services) -> Completion:
    return Completion(services)


def message(task_id: UUID) -> MessageProxy:
    return MessageProxy(Message("tasks", "recalculate", (str(task_id),), {}, {}))


def view(pool: Pool, task_id: UUID) -> TaskView:
    with pool.connection() as conn:
        return task_views.view(conn, task_id)


def test_each_class_of_errors_is_in_the_table_with_each_attempt_that_it_may_end() -> None:
    ours = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.PricingError)]
    possible = {(kind, True) for kind in ours} | {(kind, False) for kind in ours if kind.retryable}
    assert possible <= {(type(attempt.error), attempt.is_last) for attempt in ATTEMPTS}


@each_attempt
@pytest.mark.parametrize("kind", ["recalculation", "cache_sync"])
def test_a_task_after_an_attempt(
    pool: Pool, completion: Completion, started: Starting, kind: str, attempt: Attempt
) -> None:
    task = started(kind)
    completion.task(message(task.task_id), attempt.error, attempt.is_last)
    shown = view(pool, task.task_id)
    assert (shown.status, shown.attempts) == (attempt.task, 1)
    assert (shown.finished_at is not None) == (attempt.task == "failed")
    if attempt.task == "running":
        assert shown.error is None
    else:
        assert shown.error
        assert shown.error.type == attempt.error_name
        assert str(attempt.error) in shown.error.message


@each_attempt
def test_a_run_after_an_attempt_of_a_worker_that_joined_it(
    pool: Pool, completion: Completion, started: Starting, queues: Queues, attempt: Attempt
) -> None:
    """The run's own message meets the same error, and is retried."""
    task = started()
    before = view(pool, task.task_id)
    completion.join(message(task.task_id), attempt.error, attempt.is_last)
    assert view(pool, task.task_id) == before
    assert queues.sent == [("recalculate", str(task.task_id))]


@pytest.mark.parametrize("kind", ["recalculation", "cache_sync"])
def test_a_task_whose_abort_was_requested_is_aborted(
    pool: Pool, completion: Completion, started: Starting, kind: str
) -> None:
    task = started(kind)
    with pool.connection() as conn:
        assert tasks.request_abort(conn, task.task_id)
    completion.task(message(task.task_id), Abort(), True)
    assert view(pool, task.task_id).status == "aborted"


def test_an_abort_without_a_request_leaves_the_task_to_the_sweep(
    pool: Pool, completion: Completion, started: Starting
) -> None:
    task = started()
    completion.task(message(task.task_id), Abort(), True)
    assert view(pool, task.task_id).status == "running"


def test_an_abort_that_was_requested_ends_an_attempt_that_failed_otherwise(
    pool: Pool, completion: Completion, started: Starting
) -> None:
    task = started()
    with pool.connection() as conn:
        tasks.request_abort(conn, task.task_id)
    completion.task(message(task.task_id), errors.RedisUnavailable("away"), False)
    assert view(pool, task.task_id).status == "aborted"


def test_the_row_has_the_end_of_the_traceback(pool: Pool, completion: Completion, started: Starting) -> None:
    task = started()
    try:
        raise ValueError("x" * TRACEBACK_CHARS)
    except ValueError as error:
        completion.task(message(task.task_id), error, True)
    with pool.connection() as conn:
        traceback = str(task_views.traceback_of(conn, task.task_id))
    assert len(traceback) == TRACEBACK_CHARS
    assert traceback.endswith("x\n")


def test_between_attempts_the_sweep_leaves_a_task_to_dramatiq_and_counts_no_crash(
    pool: Pool, completion: Completion, started: Starting
) -> None:
    task = started("cache_sync")
    completion.task(message(task.task_id), errors.RedisUnavailable("away"), False)
    with pool.connection() as conn:
        row = conn.execute("SELECT crashes, lease_until FROM tasks WHERE task_id = %s", [task.task_id]).fetchone()
        assert row == {"crashes": 0, "lease_until": None}
        assert tasks.claim_waiting(conn) == []
        conn.execute("UPDATE tasks SET enqueued_at = enqueued_at - interval '1 minute'")
        assert [waiting.task_id for waiting in tasks.claim_waiting(conn)] == [task.task_id]


@pytest.mark.parametrize("error", [errors.RedisUnavailable("away"), errors.InvalidInput("no")])
def test_a_run_that_stops_releases_the_lock(
    completion: Completion, services: Services, started: Starting, error: Exception
) -> None:
    task, other = started(), UUID(int=1)
    assert not services.lock.acquire(other)
    completion.task(message(task.task_id), error, not isinstance(error, errors.Unavailable))
    assert services.lock.acquire(other)


def test_a_run_that_another_worker_took_over_keeps_its_lock(
    completion: Completion, services: Services, started: Starting
) -> None:
    task = started()
    completion.task(message(task.task_id), errors.LeaseLost("taken over"), False)
    assert not services.lock.acquire(UUID(int=1))


def test_the_follow_up_is_enqueued_when_a_run_fails_and_takes_over_what_was_merged_into_it(
    pool: Pool, services: Services, completion: Completion, started: Starting, queues: Queues
) -> None:
    task = started()
    with pool.connection() as conn:
        beside = tasks.create(conn, "recalculation", TWO, "")
        assert merging.skip_into_follow_up(conn, beside)
    completion.task(message(task.task_id), errors.RedisUnavailable("away"), False)
    # It waits for its next attempt, and the follow-up behind it is free to run.
    result = view(pool, beside).result
    assert result is not None
    merged = str(result.merged_into)
    assert queues.sent == [("recalculate", merged)]
    with pool.connection() as conn:
        services.claim.task = tasks.start(conn, task.task_id)
    completion.task(message(task.task_id), errors.InvalidInput("no"), True)
    assert queues.sent == [("recalculate", merged)] * 2


def test_a_run_that_is_aborted_leaves_no_partitions(pool: Pool, completion: Completion, started: Starting) -> None:
    task = started(product_set=ProductSet())
    with pool.connection() as conn:
        conn.execute("INSERT INTO run_partitions (task_id, number, first, size) VALUES (%s, 0, '', 1)", [task.task_id])
        assert partitions.waiting(conn, task.task_id) == 1
        tasks.request_abort(conn, task.task_id)
    completion.task(message(task.task_id), Abort(), True)
    with pool.connection() as conn:
        assert partitions.waiting(conn, task.task_id) == 0


def test_while_redis_is_away_the_row_is_written_all_the_same(pool: Pool, services: Services, started: Starting) -> None:
    task = started()
    away = clients.client("redis://127.0.0.1:1/0", "tests")
    with pytest.raises(redis.ConnectionError):
        Completion(msgspec.structs.replace(services, lock=RecalculationLock(away))).task(
            message(task.task_id), errors.RedisUnavailable("away"), False
        )
    away.close()
    assert view(pool, task.task_id).status == "queued"
