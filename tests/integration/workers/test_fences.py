"""Worker A was frozen, worker B has taken its work over, and A wakes: A changes nothing."""

from uuid import UUID

import msgspec
import pytest
import redis
from dramatiq import Message, MessageProxy
from dramatiq.middleware import Shutdown, TimeLimitExceeded
from dramatiq_abort import Abort

from shared.errors import DatabaseUnavailable, LeaseLost
from shared.messaging import lock
from shared.postgres.leases import LEASE_S
from shared.postgres.pools import Pool
from shared.rulebook.store import ActivePolicy
from tests.integration.catalogue_examples import new_id, product, write
from tests.integration.workers.conftest import Feed, Interfering, Queues
from tests.integration.workers.event_examples import Events
from tests.integration.workers.run_examples import Runs, work
from tests.support.metrics import counted
from workers.completion import Completion
from workers.jobs import cache_sync, market_events, recalculation
from workers.services import Services

ERRORS = [DatabaseUnavailable("the transaction was idle for too long"), ValueError("a fault"), TimeLimitExceeded()]


def message(task_id: UUID) -> MessageProxy:
    return MessageProxy(Message("tasks", "recalculate", (str(task_id),), {}, {}))


@pytest.mark.parametrize("is_last", [False, True])
@pytest.mark.parametrize("error", [*ERRORS, Abort()], ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("kind", ["recalculation", "cache_sync"])
def test_its_failed_attempt_leaves_the_task_to_the_other_worker(
    services: Services,
    runs: Runs,
    queues: Queues,
    cache: redis.Redis,
    kind: str,
    error: BaseException,
    is_last: bool,
) -> None:
    frozen = runs.started(runs.requested(["P-1"], kind))
    services.claim.task = frozen
    runs.end_leases(frozen.task_id)
    other = runs.started(frozen.task_id)
    services.lock.acquire(other.task_id, other.attempt)
    before = runs.view(frozen.task_id)
    Completion(services).task(message(frozen.task_id), error, is_last)
    assert (runs.view(frozen.task_id), queues.sent) == (before, [])
    assert cache.get(lock.KEY) == f"{other.task_id}:2".encode()


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_its_failed_attempt_leaves_a_run_to_the_worker_that_has_its_partition(
    services: Services, runs: Runs, queues: Queues, error: BaseException
) -> None:
    """The run itself was never interrupted: both work in its first attempt."""
    task = runs.split(runs.products(4))
    taken = runs.take(task)
    assert taken
    services.claim.task = task
    before = runs.view(task.task_id)
    Completion(services).task(message(task.task_id), error, True)
    assert (runs.view(task.task_id), queues.sent) == (before, [])


@pytest.mark.parametrize("error", [*ERRORS, Abort(), Shutdown()], ids=lambda error: type(error).__name__)
def test_its_error_in_a_partition_that_it_lost_ends_its_message_without_an_error(
    services: Services, runs: Runs, error: BaseException
) -> None:
    task = runs.split(runs.products(2))

    def wake() -> None:
        runs.take_over(task)
        raise error

    before = counted("pricing_stale_writes_refused_total")
    work(msgspec.structs.replace(services, writer=Interfering(wake)), task)
    assert runs.status(task.task_id) == "running"
    assert counted("pricing_stale_writes_refused_total") - before == 1


def test_it_takes_no_further_partition_of_a_run_that_was_started_again(
    services: Services, runs: Runs, cache: redis.Redis
) -> None:
    ids = runs.products(2)
    task = runs.split(ids)
    services.lock.acquire(task.task_id, task.attempt + 1)
    work(services, task)
    assert runs.changed(ids) == []
    assert runs.partitions(task.task_id) == [("waiting", 0)]
    assert cache.get(lock.KEY) == f"{task.task_id}:2".encode()


def test_it_does_not_split_a_run_that_was_started_again(services: Services, runs: Runs) -> None:
    """It was frozen between its start and the split."""
    ids = runs.products(2)
    task_id = runs.requested(ids)

    class Frozen(lock.RecalculationLock):
        def acquire(self, task_id: UUID, attempt: int = 0, *, force: bool = False) -> bool:
            if attempt == 1:
                runs.end_leases(task_id)
                runs.started(task_id)
            return super().acquire(task_id, attempt, force=force)

    with pytest.raises(LeaseLost):
        recalculation.run(msgspec.structs.replace(services, lock=Frozen(services.cache)), task_id)
    view = runs.view(task_id)
    assert (view.status, view.attempts, view.progress.total) == ("running", 2, None)
    assert runs.partitions(task_id) == []


@pytest.mark.parametrize("act", ["taken over", "aborted"])
def test_a_cache_sync_that_was_taken_over_or_is_to_be_aborted_stops(services: Services, runs: Runs, act: str) -> None:
    task_id = runs.requested(runs.products(1), "cache_sync")

    def meanwhile() -> None:
        if act == "aborted":
            runs.request_abort(task_id)
            return
        runs.end_leases(task_id)
        runs.started(task_id)

    cache_sync.run(msgspec.structs.replace(services, writer=Interfering(meanwhile, services)), task_id)
    assert runs.status(task_id) == ("aborted" if act == "aborted" else "running")


def test_a_partition_that_fails_recruits_nobody_until_it_is_decided(
    services: Services, runs: Runs, queues: Queues
) -> None:
    """Otherwise each worker that meets an error would recruit another one that meets it."""

    def fail() -> None:
        raise ConnectionError("away")

    task = runs.split(runs.products(4))
    feed = Feed()
    feed.meanwhile = fail
    fed = msgspec.structs.replace(services, feed=feed)
    for _ in range(2):
        with pytest.raises(ConnectionError):
            work(fed, task)
        assert queues.sent == [("join_run", str(task.task_id))]
    feed.meanwhile = lambda: None
    work(fed, task)
    assert queues.sent == [("join_run", str(task.task_id))] * 2


def test_a_thread_that_could_not_start_a_task_claims_none(services: Services, runs: Runs) -> None:
    task_id = runs.requested(runs.products(1))
    recalculation.run(services, task_id)
    assert services.claim.attempt_of(task_id) == 1
    recalculation.run(services, task_id)
    assert services.claim.attempt_of(task_id) is None


def test_its_error_over_events_that_it_lost_fails_none_of_them(
    services: Services, events: Events, pool: Pool, policy: ActivePolicy
) -> None:
    product_id = new_id()
    write(pool, policy, product(product_id))
    event = events.competitor(product_id, "95.00")

    def wake() -> None:
        events.take_over(product_id)
        raise ValueError("a fault")

    with pytest.raises(LeaseLost):
        market_events.reprice_products(msgspec.structs.replace(services, writer=Interfering(wake)), [product_id])
    # Also where it was frozen between its error and the completion.
    error = MessageProxy(Message("events", "reprice_products", ([product_id],), {}, {}))
    Completion(services).products(error, ValueError("a fault"), True)
    assert events.statuses(event) == ["received"]
    events.after(LEASE_S, product_id)
    market_events.reprice_products(services, [product_id])
    assert events.statuses(event) == ["applied"]
