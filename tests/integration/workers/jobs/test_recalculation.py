"""Recalculations: one runs at a time; another request joins it, waits for its turn, or is included."""

import threading
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest
import redis

from shared.jobs.views import TaskResult
from shared.messaging import lock
from tests.integration.workers.conftest import Queues
from tests.integration.workers.connections import Connections
from tests.integration.workers.run_examples import Runs
from tests.support.metrics import counted
from workers.jobs import joining, recalculation
from workers.services import Services


def merged_into(runs: Runs, task_id: UUID) -> UUID:
    view = runs.view(task_id)
    assert view.status == "skipped"
    assert view.result
    assert view.result.merged_into
    return view.result.merged_into


def holder(cache: redis.Redis) -> object:
    """The holder of the lock."""
    held = cache.get(lock.KEY)
    return held.decode().partition(":")[0] if isinstance(held, bytes) else held


def test_a_request_runs_and_ends_with_its_result(services: Services, cache: redis.Redis, runs: Runs) -> None:
    ids = runs.products(3)
    task_id = runs.requested(ids)
    runs_before = counted("pricing_run_duration_seconds_count")
    recalculation.run(services, task_id)
    view = runs.view(task_id)
    assert (view.status, view.result, view.progress.total) == ("succeeded", TaskResult(recalculated=3, changed=3), 3)
    assert runs.changed(ids) == ids
    assert holder(cache) is None
    assert counted("pricing_run_duration_seconds_count") - runs_before == 1


def test_a_run_of_no_products_ends_at_once(services: Services, runs: Runs) -> None:
    task_id = runs.requested(["unknown"])
    recalculation.run(services, task_id)
    assert (runs.status(task_id), runs.view(task_id).result) == ("succeeded", TaskResult(recalculated=0, changed=0))


def test_a_message_for_a_run_that_has_ended_changes_nothing(services: Services, runs: Runs) -> None:
    task_id = runs.requested(runs.products(1))
    recalculation.run(services, task_id)
    view = runs.view(task_id)
    recalculation.run(services, task_id)
    joining.join(services, task_id)
    assert runs.view(task_id) == view


def test_a_second_message_for_a_run_helps_with_it(services: Services, runs: Runs) -> None:
    ids = runs.products(4)
    task = runs.split(ids)
    runs.take(task)
    recalculation.run(services, task.task_id)
    assert (runs.changed(ids), runs.status(task.task_id)) == (ids[2:], "running")
    assert runs.view(task.task_id).attempts == 1


def test_a_worker_that_joins_takes_the_partitions_that_wait(services: Services, runs: Runs) -> None:
    ids = runs.products(4)
    task = runs.split(ids)
    runs.take(task)
    joining.join(services, task.task_id)
    assert (runs.changed(ids), runs.status(task.task_id)) == (ids[2:], "running")


@pytest.mark.parametrize("is_started", [False, True])
def test_a_run_that_is_not_split_yet_is_not_joined(services: Services, runs: Runs, is_started: bool) -> None:
    ids = runs.products(1)
    task_id = runs.requested(ids)
    if is_started:
        runs.started(task_id)
    joining.join(services, task_id)
    assert (runs.changed(ids), runs.status(task_id)) == ([], "running" if is_started else "queued")


def test_a_request_beside_a_run_is_merged_into_the_follow_up(
    services: Services, cache: redis.Redis, runs: Runs, queues: Queues
) -> None:
    running = runs.split(runs.products(1))
    services.lock.acquire(running.task_id)
    task_id = runs.requested(runs.products(1))
    before = counted("pricing_lock_refusals_total")
    recalculation.run(services, task_id)
    assert runs.status(merged_into(runs, task_id)) == "queued"
    assert (holder(cache), queues.sent) == (str(running.task_id), [])
    assert counted("pricing_lock_refusals_total") - before == 1


def test_a_request_beside_a_run_whose_lock_vanished_is_merged_all_the_same(
    services: Services, cache: redis.Redis, runs: Runs
) -> None:
    runs.split(runs.products(1))
    task_id = runs.requested(runs.products(1))
    recalculation.run(services, task_id)
    assert runs.status(merged_into(runs, task_id)) == "queued"
    # The lock is not left behind for the run that goes on.
    assert holder(cache) is None


def test_a_request_that_a_later_run_includes_is_skipped(services: Services, runs: Runs) -> None:
    ids = runs.products(2)
    task_id = runs.requested(ids[:1])
    later = runs.split(ids)
    recalculation.run(services, task_id)
    assert merged_into(runs, task_id) == later.task_id


def test_a_lock_that_a_crashed_run_left_behind_is_taken(services: Services, cache: redis.Redis, runs: Runs) -> None:
    cache.set(lock.KEY, str(uuid4()))
    task_id = runs.requested(runs.products(1))
    recalculation.run(services, task_id)
    assert (runs.status(task_id), holder(cache)) == ("succeeded", None)


def test_a_follow_up_takes_the_lock_that_a_crashed_run_left_behind(
    services: Services, cache: redis.Redis, runs: Runs, queues: Queues
) -> None:
    first = runs.split(runs.products(1))
    beside = runs.requested(runs.products(1))
    recalculation.run(services, beside)
    follow_up = merged_into(runs, beside)
    recalculation.run(services, first.task_id)
    assert queues.sent == [("recalculate", str(follow_up))]
    cache.set(lock.KEY, str(first.task_id))
    recalculation.run(services, follow_up)
    assert runs.status(follow_up) == "succeeded"


def test_the_follow_up_is_enqueued_when_the_run_before_it_has_ended(
    services: Services, runs: Runs, queues: Queues
) -> None:
    ids = runs.products(2)
    first = runs.split(ids[:1])
    beside = runs.requested(ids[1:])
    recalculation.run(services, beside)
    assert queues.sent == []
    recalculation.run(services, first.task_id)
    follow_up = merged_into(runs, beside)
    assert queues.sent == [("recalculate", str(follow_up))]
    recalculation.run(services, follow_up)
    assert (runs.status(follow_up), runs.changed(ids)) == ("succeeded", ids)


def test_the_follow_up_of_a_run_that_was_aborted_is_enqueued(services: Services, runs: Runs, queues: Queues) -> None:
    first = runs.split(runs.products(1))
    beside = runs.requested(runs.products(1))
    recalculation.run(services, beside)
    runs.request_abort(first.task_id)
    runs.end_leases(first.task_id)
    recalculation.run(services, first.task_id)
    assert runs.status(first.task_id) == "aborted"
    assert queues.sent == [("recalculate", str(merged_into(runs, beside)))]


def test_a_run_whose_workers_are_gone_does_the_partitions_that_are_left(services: Services, runs: Runs) -> None:
    ids = runs.products(4)
    task = runs.split(ids)
    done = runs.take(task)
    assert done
    runs.finish(done)
    runs.end_leases(task.task_id)
    recalculation.run(services, task.task_id)
    view = runs.view(task.task_id)
    assert (view.status, view.attempts, view.progress.done) == ("succeeded", 2, 4)
    assert runs.changed(ids) == ids[2:]


def test_a_run_whose_worker_fails_before_the_split_is_split_by_the_next_attempt(services: Services, runs: Runs) -> None:
    ids = runs.products(2)
    task_id = runs.requested(ids)

    # The third connection is to split.
    crashing = msgspec.structs.replace(services, pool=Connections(services.pool, crash_at=3))
    with pytest.raises(psycopg.OperationalError):
        recalculation.run(crashing, task_id)
    assert (runs.status(task_id), runs.view(task_id).progress.total) == ("running", None)
    runs.end_leases(task_id)
    recalculation.run(services, task_id)
    assert (runs.status(task_id), runs.changed(ids)) == ("succeeded", ids)


class BusySlots(threading.BoundedSemaphore):
    """All places are taken; the thread of the run before ends as soon as another one waits for it."""

    def __init__(self) -> None:
        super().__init__(1)
        super().acquire(blocking=False)

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        if timeout:
            self.release()
        return super().acquire(blocking, timeout)


def test_the_claimant_of_a_run_waits_for_a_thread_that_still_works_on_the_one_before(
    services: Services, runs: Runs
) -> None:
    ids = runs.products(1)
    task_id = runs.requested(ids)
    recalculation.run(msgspec.structs.replace(services, partition_slots=BusySlots()), task_id)
    assert (runs.status(task_id), runs.changed(ids)) == ("succeeded", ids)
