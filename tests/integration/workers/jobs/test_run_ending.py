"""The end of a run: once, with its lock, and with the follow-up behind it."""

from uuid import UUID

import redis

from shared.jobs import merging
from shared.messaging import lock
from shared.postgres.pools import Pool
from tests.integration.workers.conftest import Queues
from tests.integration.workers.run_examples import Runs
from tests.support.metrics import counted
from workers.jobs import run_ending
from workers.services import Services


def follow_up(pool: Pool, runs: Runs) -> UUID:
    """The follow-up of a request beside a run."""
    beside = runs.requested(["P-2"])
    with pool.connection() as conn:
        assert merging.skip_into_follow_up(conn, beside)
    result = runs.view(beside).result
    assert result
    assert result.merged_into
    return result.merged_into


def ended() -> float:
    return counted("pricing_run_duration_seconds_count")


def test_a_run_of_which_a_partition_is_left_goes_on(
    services: Services, cache: redis.Redis, runs: Runs, queues: Queues
) -> None:
    task = runs.split(runs.products(3))
    services.lock.acquire(task.task_id)
    before = ended()
    held = runs.take(task)
    assert held
    run_ending.end(services, task)
    runs.finish(held)
    run_ending.end(services, task)
    assert (runs.status(task.task_id), queues.sent, ended() - before) == ("running", [], 0)
    assert cache.exists(lock.KEY)


def test_a_run_ends_once_with_its_lock_and_its_follow_up_enqueued(
    services: Services, cache: redis.Redis, pool: Pool, runs: Runs, queues: Queues
) -> None:
    task = runs.split(runs.products(2))
    services.lock.acquire(task.task_id)
    waiting = follow_up(pool, runs)
    held = runs.take(task)
    assert held
    runs.finish(held)
    before = ended()
    run_ending.end(services, task)
    run_ending.end(services, task)
    assert (runs.status(task.task_id), ended() - before) == ("succeeded", 1)
    assert queues.sent == [("recalculate", str(waiting))]
    assert not cache.exists(lock.KEY)


def test_a_run_ends_as_aborted_and_leaves_the_lock_of_another_one(
    services: Services, cache: redis.Redis, runs: Runs
) -> None:
    task = runs.split(runs.products(2))
    cache.set(lock.KEY, "another run")
    runs.request_abort(task.task_id)
    run_ending.end(services, task)
    assert (runs.status(task.task_id), cache.get(lock.KEY)) == ("aborted", b"another run")


def test_a_follow_up_is_not_enqueued_while_a_run_goes_on(
    services: Services, pool: Pool, runs: Runs, queues: Queues
) -> None:
    runs.split(runs.products(1))
    follow_up(pool, runs)
    run_ending.enqueue_follow_up(services)
    assert queues.sent == []


def test_without_a_follow_up_nothing_is_enqueued(services: Services, runs: Runs, queues: Queues) -> None:
    task = runs.split(["unknown"])
    run_ending.end(services, task)
    assert (runs.status(task.task_id), queues.sent) == ("succeeded", [])
