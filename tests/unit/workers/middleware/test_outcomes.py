"""Each attempt is counted and logged, and the completion of its job is called."""

from typing import Any

import dramatiq
import psycopg
import pytest
from dramatiq import Broker, MessageProxy
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Retries, TimeLimitExceeded
from dramatiq_abort import Abort
from structlog.testing import capture_logs

from shared.errors import InvalidInput, RedisUnavailable
from tests.support.metrics import counted
from tests.unit.workers.message_examples import taken
from workers.middleware.outcomes import MAX_RETRIES, Outcomes, worth_a_retry

ACTOR, QUEUE = "tried", "tries"


class Errors:
    """Keeps what an actor's `on_error` is called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[MessageProxy, BaseException, bool]] = []

    def __call__(self, message: MessageProxy, error: BaseException, is_last: bool) -> None:
        self.calls.append((message, error, is_last))


@pytest.fixture
def errors() -> Errors:
    return Errors()


@pytest.fixture
def broker(errors: Errors) -> Broker:
    broker = StubBroker([Outcomes(), Retries(retry_when=worth_a_retry, min_backoff=1)])
    options: dict[str, Any] = {"on_error": errors, "throws": (Abort,)}
    dramatiq.actor(broker=broker, actor_name=ACTOR, queue_name=QUEUE, **options)(lambda product_ids: None)
    return broker


def attempt(broker: Broker, error: BaseException | None = None, **options: Any) -> tuple[MessageProxy, Any]:
    """One attempt that ends so; the message, and the lines of the log."""
    message = taken(ACTOR, QUEUE, **options)
    with capture_logs() as lines:
        broker.emit_before("process_message", message)
        broker.emit_after("process_message", message, exception=error)
    return message, lines


def ended(outcome: str) -> float:
    return counted("pricing_tasks_ended_total", actor=ACTOR, outcome=outcome)


def test_an_attempt_that_ends_well_is_counted_and_not_logged(broker: Broker, errors: Errors) -> None:
    before = ended("succeeded")
    _, lines = attempt(broker)
    assert (ended("succeeded") - before, lines, errors.calls) == (1, [], [])


@pytest.mark.parametrize(
    ("error", "retries", "outcome", "level"),
    [
        (RedisUnavailable("away"), 0, "retried", "warning"),
        (psycopg.OperationalError("away"), MAX_RETRIES - 1, "retried", "warning"),
        (RedisUnavailable("away"), MAX_RETRIES, "failed", "error"),
        (InvalidInput("no"), 0, "failed", "error"),
        (Abort(), 0, "aborted", "info"),
    ],
)
def test_an_attempt_that_ends_by_an_error_is_counted_logged_and_completed(
    broker: Broker, errors: Errors, error: BaseException, retries: int, outcome: str, level: str
) -> None:
    before = ended(outcome)
    message, [line] = attempt(broker, error, retries=retries)
    assert ended(outcome) - before == 1
    assert (line["event"], line["log_level"], line["outcome"]) == ("attempt ended", level, outcome)
    assert (line["actor"], line["args"], "exc_info" in line) == (ACTOR, message.args, False)
    assert line["error"] == f"{type(error).__name__}: {error}"
    assert errors.calls == [(message, error, outcome != "retried")]


@pytest.mark.parametrize("error", [ValueError("a fault of ours"), TimeLimitExceeded()])
def test_an_error_that_nobody_foresaw_is_logged_with_its_traceback(
    broker: Broker, errors: Errors, error: BaseException
) -> None:
    message, [line] = attempt(broker, error)
    assert (line["event"], line["log_level"], line["exc_info"]) == ("job failed", "error", error)
    assert errors.calls == [(message, error, True)]


def test_the_time_of_an_attempt_and_of_its_wait_are_observed(broker: Broker) -> None:
    names = (
        ("pricing_job_duration_seconds_count", {"actor": ACTOR}),
        ("pricing_queue_wait_seconds_count", {"queue": QUEUE}),
    )
    before = [counted(name, **labels) for name, labels in names]
    waited_s = counted("pricing_queue_wait_seconds_sum", queue=QUEUE)
    message = taken(ACTOR, QUEUE)
    attempt(broker, enqueued_at_ms=message.message_timestamp - 90_000)
    assert [counted(name, **labels) for name, labels in names] == [number + 1 for number in before]
    # Seconds, and not the milliseconds of the message.
    assert 90 <= counted("pricing_queue_wait_seconds_sum", queue=QUEUE) - waited_s < 9_000
