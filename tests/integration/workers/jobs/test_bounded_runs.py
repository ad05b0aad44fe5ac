"""A message of a run works for a bounded time, and what never succeeds is not tried for ever."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import msgspec
import pytest
from dramatiq import Message, MessageProxy
from dramatiq.middleware import Shutdown

from shared.errors import StatementTimeout
from shared.postgres.pools import Conn, Pool
from tests.integration.workers.conftest import Queues
from tests.integration.workers.run_examples import Runs, work
from workers.completion import Completion
from workers.jobs import joining, recalculation
from workers.middleware.outcomes import MAX_RETRIES, worth_a_retry
from workers.services import PARTITION_SLOTS, Services


def test_a_message_whose_time_is_over_finishes_its_partition_and_enqueues_itself(
    services: Services, runs: Runs, queues: Queues
) -> None:
    ids = runs.products(6)
    task = runs.split(ids)
    recalculation.run(services, task.task_id, most_s=0)
    assert runs.changed(ids) == ids[:2]
    assert queues.sent[-1] == ("recalculate", str(task.task_id))
    joining.join(services, task.task_id, most_s=0)
    assert runs.changed(ids) == ids[:4]
    assert queues.sent[-1] == ("join_run", str(task.task_id))
    queues.sent.clear()
    recalculation.run(services, task.task_id)
    view = runs.view(task.task_id)
    assert (view.status, view.attempts, queues.sent) == ("succeeded", 1, [])


def test_a_message_whose_time_is_over_with_the_last_partition_ends_the_run(
    services: Services, runs: Runs, queues: Queues
) -> None:
    task = runs.split(runs.products(2))
    recalculation.run(services, task.task_id, most_s=0)
    assert (runs.status(task.task_id), queues.sent) == ("succeeded", [])


def test_a_message_enqueues_itself_when_its_place_is_free_again(services: Services, runs: Runs) -> None:
    """Otherwise a thread of the same process may receive it, and find no place."""
    task = runs.split(runs.products(4))

    class Watching(Queues):
        def task(self, kind: str, task_id: UUID) -> None:
            for _ in range(PARTITION_SLOTS):
                assert services.partition_slots.acquire(blocking=False)
            super().task(kind, task_id)

    watching = Watching()
    recalculation.run(msgspec.structs.replace(services, enqueue=watching), task.task_id, most_s=0)
    assert watching.sent[-1] == ("recalculate", str(task.task_id))


def test_a_process_that_stops_breaks_off_the_split(services: Services, runs: Runs) -> None:
    task_id = runs.requested(runs.products(2))
    services.stopping.set()
    with pytest.raises(Shutdown):
        recalculation.run(services, task_id)
    assert runs.view(task_id).progress.total is None


def test_a_run_whose_abort_is_requested_while_it_is_split_ends_aborted(
    services: Services, runs: Runs, queues: Queues
) -> None:
    task_id = runs.requested(runs.products(2))

    class Stopping:
        def is_set(self) -> bool:
            runs.request_abort(task_id)
            return False

    with pytest.raises(Exception, match="abort"):
        recalculation.run(msgspec.structs.replace(services, stopping=Stopping()), task_id)
    assert runs.status(task_id) == "aborted"


class Impatient:
    """A pool whose statements end after 50 ms."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @contextmanager
    def connection(self) -> Iterator[Conn]:
        with self._pool.connection() as conn:
            conn.execute("SET LOCAL statement_timeout = 50")
            yield conn


def test_a_statement_that_lasts_too_long_at_each_attempt_fails_the_run(
    services: Services, pool: Pool, runs: Runs
) -> None:
    [product_id] = runs.products(1)
    task_id = runs.requested([product_id])
    impatient = msgspec.structs.replace(services, pool=Impatient(services.pool))
    message = MessageProxy(Message("tasks", "recalculate", (str(task_id),), {}, {}))
    with pool.connection() as conn:
        conn.execute("SELECT 1 FROM products WHERE product_id = %s FOR UPDATE", [product_id])
        for retries in range(MAX_RETRIES + 1):
            assert runs.status(task_id) == "queued"
            with pytest.raises(Exception, match="statement timeout") as raised:
                recalculation.run(impatient, task_id)
            Completion(services).task(message, raised.value, not worth_a_retry(retries, raised.value))
    view = runs.view(task_id)
    assert (view.status, view.attempts) == ("failed", MAX_RETRIES + 1)
    assert view.error
    assert view.error.type == StatementTimeout.__name__
    assert runs.changed([product_id]) == []


def test_a_partition_that_is_lost_over_a_slow_statement_again_and_again_is_quarantined(
    services: Services, pool: Pool, runs: Runs
) -> None:
    """The statement outlasts the lease, so that no attempt meets its own error."""
    task = runs.split(runs.products(1))
    while runs.take(task):
        runs.end_leases(task.task_id)
        task = runs.started(task.task_id)
    work(services, task)
    assert runs.status(task.task_id) == "failed"
