"""Actors on a running worker with all its middleware: each does its job, and an attempt that fails is completed."""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
import redis
from dramatiq import Message, Worker
from dramatiq.brokers.stub import StubBroker
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared.cache.writer import SheetWriter
from shared.jobs import tasks
from shared.messaging import broker as brokers
from shared.postgres.pools import Pool
from shared.prices.new_versions import StoredSheet
from shared.settings import Settings
from shared.telemetry import propagation
from tests.integration.catalogue_examples import new_id
from tests.integration.workers.conftest import Queues
from tests.integration.workers.event_examples import Events
from tests.integration.workers.run_examples import Runs
from tests.support.waiting import eventually
from workers import actors, app
from workers import services as composition

JOIN_MS = 60_000


class Hindered(SheetWriter):
    """A writer that lets a test act before each put."""

    def __init__(self, writer: SheetWriter) -> None:
        self._writer = writer
        self.hindrance: Callable[[], None] = lambda: None

    def put(self, stored: Sequence[StoredSheet]) -> None:
        self.hindrance()
        self._writer.put(stored)


class RunningWorker:
    """A worker on a queue in memory; it enqueues into queues that tests look into."""

    def __init__(self, settings: Settings) -> None:
        built = composition.build(settings, TracerProvider())
        self.writer, self.queues = Hindered(built.writer), Queues()
        self.services = msgspec.structs.replace(built, writer=self.writer, enqueue=self.queues)
        self.broker = StubBroker(app.middleware(self.services))
        actors.register(self.broker, self.services)
        self._worker = Worker(self.broker, worker_threads=2, worker_timeout=20)
        self._worker.start()

    def send(self, actor: str, argument: object, message_id: str = "", traceparent: str = "") -> None:
        queue = self.broker.get_actor(actor).queue_name
        options = {"traceparent": traceparent, "tracestate": ""}
        self.broker.enqueue(Message(queue, actor, (argument,), {}, options, message_id=message_id or new_id()))

    def done(self) -> None:
        """Wait until all messages and their retries are processed."""
        for queue in ("events", "tasks"):
            self.broker.join(queue, timeout=JOIN_MS, fail_fast=False)

    def work(self, actor: str, argument: object, **fields: str) -> None:
        self.send(actor, argument, **fields)
        self.done()

    def stop(self) -> None:
        self._worker.stop()


@pytest.fixture(scope="module")
def running(settings: Settings) -> Iterator[RunningWorker]:
    """One worker for all tests: a thread of dramatiq-abort's outlives it."""
    before = signal.getsignal(signal.SIGTERM)
    running = RunningWorker(settings)
    yield running
    running.stop()
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def worker(running: RunningWorker) -> Iterator[RunningWorker]:
    running.queues.sent.clear()
    yield running
    running.writer.hindrance = lambda: None


def fail(error: Exception, times: int = 1_000) -> Callable[[], None]:
    """Raises an error, so many times."""
    left = iter(range(times))

    def fail() -> None:
        if next(left, None) is not None:
            raise error

    return fail


def test_reprice_products_applies_the_events_of_its_products(worker: RunningWorker, events: Events, runs: Runs) -> None:
    ids = runs.products(2)
    recorded = [events.competitor(each, "90.00", by="globex") for each in ids]
    worker.work("reprice_products", ids)
    assert events.statuses(*recorded) == ["applied", "applied"]
    assert [runs.prices(each)[-1] for each in ids] == [Decimal("90.00")] * 2


def test_change_market_applies_the_events_of_its_market(worker: RunningWorker, events: Events) -> None:
    code = f"M-{new_id()}"
    event = events.market(code, "1.1")
    worker.work("change_market", code)
    assert events.view(event).status == "applied"


def test_recalculate_runs_its_task(worker: RunningWorker, runs: Runs) -> None:
    ids = runs.products(1)
    task_id = runs.requested(ids)
    worker.work("recalculate", str(task_id))
    assert (runs.status(task_id), runs.changed(ids)) == ("succeeded", ids)


def test_join_run_takes_partitions_and_claims_nothing(worker: RunningWorker, runs: Runs) -> None:
    ids = runs.products(2)
    waiting = runs.requested(ids)
    worker.work("join_run", str(waiting))
    assert runs.status(waiting) == "queued"
    task = runs.split(ids)
    worker.work("join_run", str(task.task_id))
    assert (runs.status(task.task_id), runs.changed(ids)) == ("succeeded", ids)


def test_sync_cache_puts_the_sheets_of_its_task(
    worker: RunningWorker, runs: Runs, cached: Callable[[str], Any]
) -> None:
    [product_id] = runs.products(1)
    task_id = runs.requested([product_id], kind="cache_sync")
    worker.work("sync_cache", str(task_id))
    assert (runs.status(task_id), cached(product_id).version) == ("succeeded", 1)


def test_an_error_that_passes_is_retried_until_the_work_is_done(
    worker: RunningWorker, events: Events, runs: Runs
) -> None:
    [product_id] = runs.products(1, competitor="50.00")
    event = events.demand(product_id, "1.1")
    task_id = runs.requested([product_id], kind="cache_sync")
    worker.writer.hindrance = fail(redis.ConnectionError("away"), times=3)
    worker.send("sync_cache", str(task_id))
    worker.work("reprice_products", [product_id])
    assert (events.statuses(event), runs.status(task_id)) == (["applied"], "succeeded")
    assert events.view(event).attempts + runs.view(task_id).attempts == 5


def test_an_error_that_does_not_pass_fails_the_event_with_its_first_attempt(
    worker: RunningWorker, events: Events, runs: Runs
) -> None:
    [product_id] = runs.products(1)
    event = events.demand(product_id, "1.1")
    worker.writer.hindrance = fail(ValueError("a fault of ours"))
    worker.work("reprice_products", [product_id])
    view = events.view(event)
    assert (view.status, view.attempts, view.reason) == ("failed", 1, "ValueError: a fault of ours")


def test_an_error_that_does_not_pass_has_several_products_tried_alone(
    worker: RunningWorker, events: Events, runs: Runs
) -> None:
    ids = runs.products(2)
    recorded = [events.demand(each, "1.1") for each in ids]
    worker.writer.hindrance = fail(ValueError("a fault of ours"))
    worker.work("reprice_products", ids)
    assert events.statuses(*recorded) == ["received", "received"]
    assert worker.queues.sent == [("reprice_products", [each]) for each in ids]


@pytest.mark.parametrize(("actor", "kind"), [("recalculate", "recalculation"), ("sync_cache", "cache_sync")])
def test_an_error_that_does_not_pass_fails_the_task(worker: RunningWorker, runs: Runs, actor: str, kind: str) -> None:
    task_id = runs.requested(runs.products(1), kind)
    worker.writer.hindrance = fail(ValueError("a fault of ours"))
    worker.work(actor, str(task_id))
    view = runs.view(task_id)
    assert (view.status, view.attempts, view.error and view.error.type) == ("failed", 1, "ValueError")


def test_a_worker_that_joins_and_fails_leaves_the_retries_to_the_runs_own_message(
    worker: RunningWorker, runs: Runs
) -> None:
    task = runs.split(runs.products(1))
    worker.writer.hindrance = fail(redis.ConnectionError("away"))
    worker.work("join_run", str(task.task_id))
    assert (runs.status(task.task_id), runs.partitions(task.task_id)) == ("running", [("waiting", 0)])
    assert worker.queues.sent == [("recalculate", str(task.task_id))]


def test_a_task_that_was_cancelled_while_it_waited_is_not_begun(worker: RunningWorker, runs: Runs) -> None:
    task_id = runs.requested(runs.products(1))
    brokers.abortable(worker.services.queue).abort(str(task_id))
    worker.work("recalculate", str(task_id), message_id=str(task_id))
    assert (runs.status(task_id), runs.view(task_id).attempts) == ("queued", 0)


def test_an_abort_interrupts_a_task_that_runs(worker: RunningWorker, pool: Pool, runs: Runs) -> None:
    task_id: UUID = runs.requested(runs.products(1), kind="cache_sync")
    is_in_hand, never = threading.Event(), threading.Event()

    def last() -> None:
        is_in_hand.set()
        # An interrupt reaches a thread between two steps of Python.
        while not never.wait(0.02):
            pass

    worker.writer.hindrance = last
    worker.send("sync_cache", str(task_id), message_id=str(task_id))
    assert is_in_hand.wait(timeout=60)
    with pool.connection() as conn:
        assert tasks.request_abort(conn, task_id)
    brokers.abortable(worker.services.queue).abort(str(task_id))
    eventually(lambda: runs.status(task_id) == "aborted", "the task is aborted")
    worker.done()


def test_a_jobs_spans_are_in_the_trace_of_its_message(
    worker: RunningWorker, runs: Runs, spans: InMemorySpanExporter
) -> None:
    task_id = runs.requested(runs.products(1))
    traceparent = propagation.fresh()
    worker.work("recalculate", str(task_id), traceparent=traceparent)
    names = {
        span.name
        for span in spans.get_finished_spans()
        if f"{span.context.trace_id:032x}" == propagation.trace_id(traceparent)
    }
    assert {"process tasks", "partition"} <= names
