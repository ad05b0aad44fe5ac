"""A worker process ends promptly, in order, and with everything closed."""

import signal
import threading
from collections.abc import Iterator
from typing import Any, cast

import dramatiq
import pytest
from dramatiq import Worker
from dramatiq.brokers.stub import StubBroker

from shared.settings import Settings
from workers.middleware.shutdown import Cleanup, PromptEnd
from workers.services import Services


class StoppableWorker:
    """Notes with which time-out it is stopped."""

    def __init__(self) -> None:
        self.stopped_with: list[int] = []

    def stop(self, timeout: int) -> None:
        self.stopped_with.append(timeout)


class ClosableBroker(StubBroker):
    """Notes that it is closed."""

    is_closed = False

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def dramatiqs_signals() -> Iterator[list[int]]:
    """Stands for Dramatiq's own handler of SIGTERM: the signals that it gets."""
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda signum, frame: received.append(signum))
    yield received
    signal.signal(signal.SIGTERM, before)


def test_running_jobs_see_the_end_come_and_services_are_closed_after_the_last_job(
    services: Services, closed: list[str]
) -> None:
    broker = StubBroker([Cleanup(services)])
    started, closed_during_job = threading.Event(), list[list[str]]()

    @dramatiq.actor(broker=broker, queue_name="tasks")
    def job() -> None:
        started.set()
        assert services.stopping.wait(timeout=10)
        closed_during_job.append(list(closed))

    worker = Worker(broker, worker_threads=1, worker_timeout=10)
    worker.start()
    job.send()
    assert started.wait(timeout=10)
    assert not services.stopping.is_set()
    worker.stop(timeout=10_000)
    assert closed_during_job == [[]]
    assert closed == ["feed", "queue", "events", "cache", "pool"]


def test_sigterm_stops_the_worker_at_once_within_the_drain_time(dramatiqs_signals: list[int]) -> None:
    broker, worker = ClosableBroker([]), StoppableWorker()
    PromptEnd(Settings(drain_timeout_s=7)).after_worker_boot(broker, cast(Any, worker))
    with pytest.raises(SystemExit) as ended:
        signal.raise_signal(signal.SIGTERM)
    assert (ended.value.code, worker.stopped_with, broker.is_closed) == (0, [7_000], True)
    assert dramatiqs_signals == []


def test_a_second_sigterm_is_dramatiqs(dramatiqs_signals: list[int]) -> None:
    PromptEnd(Settings()).after_worker_boot(ClosableBroker([]), cast(Any, StoppableWorker()))
    with pytest.raises(SystemExit):
        signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
    assert dramatiqs_signals == [signal.SIGTERM]
