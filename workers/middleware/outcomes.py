"""The outcome of each attempt, in the log, the metrics and the job's row; and the decision about a retry."""

import threading
import time
from typing import Any

import structlog
from dramatiq import Broker, MessageProxy
from dramatiq.middleware import Middleware, Shutdown
from dramatiq_abort import Abort

from shared.errors import retryable, translate
from shared.telemetry import spans
from shared.telemetry.metrics import JOB_DURATION, QUEUE_WAIT, TASKS_ENDED
from workers.middleware.tracing import waited_ms

log = structlog.get_logger(__name__)

MAX_RETRIES = 5


def worth_a_retry(retries: int, error: BaseException) -> bool:
    """Dramatiq's `retry_when`: transient errors up to 5 times, interruptions by a shutdown always."""
    return isinstance(error, Shutdown) or (retries < MAX_RETRIES and retryable(error))


def never(retries: int, error: BaseException) -> bool:
    """Dramatiq's `retry_when` for messages without retries."""
    return False


class Outcomes(Middleware):
    """Writes the outcome of each attempt to the log, the metrics and the job's row.

    An actor's option `on_error` is called with the message, the exception and whether no attempt follows.
    """

    @property
    def actor_options(self) -> set[str]:
        """The actors' option that this middleware reads."""
        return {"on_error"}

    def __init__(self) -> None:
        self._current = threading.local()

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        """Observe the message's wait in the queue, and start the clock."""
        QUEUE_WAIT.labels(message.queue_name).observe(waited_ms(message) / 1000)
        self._current.began = time.perf_counter()

    def after_process_message(
        self,
        broker: Broker,
        message: MessageProxy,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        """Count, log, and complete the job's row."""
        outcome = _outcome(message, exception)
        JOB_DURATION.labels(message.actor_name).observe(time.perf_counter() - self._current.began)
        TASKS_ENDED.labels(message.actor_name, outcome).inc()
        spans.annotate(outcome=outcome)
        if exception is None:
            return
        fields = {"actor": message.actor_name, "args": message.args, "outcome": outcome}
        if outcome == "failed" and translate(exception) is None:
            log.error("job failed", **fields, exc_info=exception)
        else:
            write = {"aborted": log.info, "failed": log.error}.get(outcome, log.warning)
            write("attempt ended", **fields, error=f"{type(exception).__name__}: {exception}")
        broker.get_actor(message.actor_name).options["on_error"](message, exception, message.failed)


def _outcome(message: MessageProxy, exception: BaseException | None) -> str:
    if exception is None:
        return "succeeded"
    if isinstance(exception, Abort):
        return "aborted"
    return "failed" if message.failed else "retried"
