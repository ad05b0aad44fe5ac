"""Workers take partitions of a run: each is written, put and counted once, whoever crashes or stops."""

from decimal import Decimal
from uuid import UUID

import msgspec
import pytest
import redis

from shared.jobs.tasks import RunningTask
from shared.jobs.views import TaskResult
from shared.messaging import lock
from tests.integration.workers.conftest import Cached, Feed, Interfering, Queues
from tests.integration.workers.run_examples import Runs, work
from tests.support.metrics import counted
from workers.jobs import run_ending
from workers.services import PARTITION_SLOTS, Services


@pytest.fixture
def ids(runs: Runs) -> list[str]:
    """Five products of 100.00 USD, whose competitor asks 50.00: steps of 20 % lead there."""
    return runs.products(5, competitor="50.00")


@pytest.fixture
def task(runs: Runs, ids: list[str]) -> RunningTask:
    """A run over them in three partitions."""
    return runs.split(ids)


@pytest.fixture
def feed() -> Feed:
    """A feed, by which a test interferes before a partition is written."""
    return Feed()


@pytest.fixture
def fed(services: Services, feed: Feed) -> Services:
    return msgspec.structs.replace(services, feed=feed)


def stale_writes() -> float:
    return counted("pricing_stale_writes_refused_total")


def test_a_worker_takes_one_partition_after_the_other_and_ends_the_run(
    services: Services, runs: Runs, cached: Cached, ids: list[str], task: RunningTask
) -> None:
    work(services, task)
    view = runs.view(task.task_id)
    assert (view.status, view.result) == ("succeeded", TaskResult(recalculated=5, changed=5))
    assert [runs.prices(each) for each in ids] == [[Decimal("100.00"), Decimal("80.00")]] * 5
    sheets = [cached(each) for each in ids]
    assert [(sheet.version, sheet.published_price) for sheet in sheets if sheet] == [(2, Decimal("80.00"))] * 5


def test_the_decisions_of_a_run_are_counted(services: Services, task: RunningTask) -> None:
    def figures() -> list[float]:
        return [
            counted("pricing_decisions_total", cause="task"),
            counted("pricing_prices_changed_total", cause="task"),
            counted("pricing_partition_products_sum"),
            counted("pricing_partition_products_count"),
        ]

    before = figures()
    work(services, task)
    assert [now - then for now, then in zip(figures(), before, strict=True)] == [5, 5, 5, 3]


def test_only_changed_sheets_are_put(services: Services, runs: Runs) -> None:
    ids = runs.products(2, strategy="list_price")
    writer = Interfering(lambda: None)
    work(msgspec.structs.replace(services, writer=writer), runs.split(ids))
    assert writer.batches == [[]]


def test_a_message_for_one_more_worker_is_enqueued_while_partitions_wait(
    services: Services, queues: Queues, runs: Runs, task: RunningTask
) -> None:
    work(services, task)
    # At once with the first partition; the next one a second later, if any waits then.
    assert queues.sent[0] == ("join_run", str(task.task_id))
    queues.sent.clear()
    work(services, runs.split(runs.products(2)))
    assert queues.sent == []


def test_a_worker_whose_partition_was_taken_over_before_its_commit_writes_nothing(
    fed: Services, feed: Feed, runs: Runs, ids: list[str], task: RunningTask
) -> None:
    feed.meanwhile = lambda: runs.take_over(task)
    before = stale_writes()
    work(fed, task)
    assert stale_writes() - before == 1
    assert runs.changed(ids) == []
    assert runs.status(task.task_id) == "running"
    assert [status for status, _ in runs.partitions(task.task_id)] == ["running"] * 3


def test_a_worker_whose_partition_was_taken_over_before_its_end_does_not_count_it(
    services: Services, runs: Runs, ids: list[str], task: RunningTask
) -> None:
    writer = Interfering(lambda: runs.take_over(task), services)
    before = stale_writes()
    work(msgspec.structs.replace(services, writer=writer), task)
    assert stale_writes() - before == 1
    assert (runs.view(task.task_id).progress.done, runs.changed(ids)) == (0, ids[:2])


def test_a_worker_of_a_run_that_is_to_be_aborted_writes_nothing_and_ends_it(
    fed: Services, feed: Feed, runs: Runs, ids: list[str], task: RunningTask
) -> None:
    feed.meanwhile = lambda: runs.request_abort(task.task_id)
    work(fed, task)
    assert (runs.status(task.task_id), runs.changed(ids)) == ("aborted", [])


def test_a_partition_of_a_run_that_another_worker_ended_as_aborted_is_no_stale_write(
    fed: Services, feed: Feed, runs: Runs, ids: list[str], task: RunningTask
) -> None:
    def end_aborted() -> None:
        runs.request_abort(task.task_id)
        run_ending.end(fed, task)

    feed.meanwhile = end_aborted
    before = stale_writes()
    work(fed, task)
    assert (runs.status(task.task_id), runs.changed(ids), stale_writes() - before) == ("aborted", [], 0)


def test_after_a_crash_before_the_put_sheets_are_put_and_no_second_step_taken(
    services: Services, runs: Runs, cached: Cached, ids: list[str], task: RunningTask
) -> None:
    """The first holder of the partition wrote its prices, and nothing more."""

    class Crash(BaseException):
        pass

    def crash() -> None:
        # It can no longer release the partition either.
        runs.take_over(task)
        runs.end_leases(task.task_id)
        raise Crash

    with pytest.raises(Crash):
        work(msgspec.structs.replace(services, writer=Interfering(crash)), task)
    assert (runs.changed(ids), cached(ids[0])) == (ids[:2], None)
    work(services, runs.started(task.task_id))
    assert runs.status(task.task_id) == "succeeded"
    assert [runs.prices(each) for each in ids] == [[Decimal("100.00"), Decimal("80.00")]] * 5
    assert all(cached(each) for each in ids)


def test_a_worker_that_meets_an_error_releases_its_partition_which_is_no_crash(
    services: Services, runs: Runs, task: RunningTask
) -> None:
    def fail() -> None:
        raise redis.ConnectionError("away")

    before = stale_writes()
    with pytest.raises(redis.ConnectionError):
        work(msgspec.structs.replace(services, writer=Interfering(fail)), task)
    assert runs.partitions(task.task_id) == [("waiting", 0)] * 3
    assert (runs.status(task.task_id), stale_writes() - before) == ("running", 0)


def test_a_worker_that_cannot_enqueue_a_message_for_another_one_releases_its_partition_which_is_no_crash(
    services: Services, runs: Runs, task: RunningTask
) -> None:
    class Away(Queues):
        def join_run(self, task_id: UUID) -> None:
            raise redis.ConnectionError("away")

    with pytest.raises(redis.ConnectionError):
        work(msgspec.structs.replace(services, enqueue=Away()), task)
    assert runs.partitions(task.task_id) == [("waiting", 0)] * 3


def test_a_worker_that_stops_ends_its_partition_and_enqueues_the_run(
    fed: Services, feed: Feed, runs: Runs, queues: Queues, ids: list[str], task: RunningTask
) -> None:
    feed.meanwhile = fed.stopping.set
    work(fed, task)
    assert [status for status, _ in runs.partitions(task.task_id)] == ["done", "waiting", "waiting"]
    assert (runs.view(task.task_id).progress.done, runs.changed(ids)) == (2, ids[:2])
    assert queues.sent == [("join_run", str(task.task_id)), ("recalculate", str(task.task_id))]


def test_a_process_works_on_two_partitions_at_a_time(
    services: Services, runs: Runs, ids: list[str], task: RunningTask
) -> None:
    for _ in range(PARTITION_SLOTS):
        assert services.partition_slots.acquire(blocking=False)
    work(services, task)
    assert runs.changed(ids) == []
    services.partition_slots.release()
    work(services, task)
    assert runs.changed(ids) == ids
    # It has given its place back.
    assert services.partition_slots.acquire(blocking=False)


def test_a_worker_that_fails_gives_its_place_back(services: Services, task: RunningTask) -> None:
    def fail() -> None:
        raise ValueError("a fault of ours")

    for _ in range(PARTITION_SLOTS + 1):
        with pytest.raises(ValueError, match="ours"):
            work(msgspec.structs.replace(services, writer=Interfering(fail)), task)


def test_a_lock_that_another_task_holds_is_taken_back(
    services: Services, cache: redis.Redis, runs: Runs, task: RunningTask
) -> None:
    """The claim in PostgreSQL is what counts."""
    cache.set(lock.KEY, "another task")
    before = counted("pricing_lock_losses_total")
    work(services, task)
    assert counted("pricing_lock_losses_total") - before == 1
    assert (runs.status(task.task_id), cache.get(lock.KEY)) == ("succeeded", None)
