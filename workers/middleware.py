"""Dramatiq middleware: the trace, the rows, the metrics, the end. One concern each."""

import threading
import time
from typing import Any

import structlog
from dramatiq import Broker, MessageProxy, Worker
from dramatiq.middleware import Middleware, Shutdown
from dramatiq_abort import Abort
from opentelemetry.context import attach, detach
from opentelemetry.trace import Span, SpanKind, StatusCode, set_span_in_context
from prometheus_client import start_http_server

from shared.errors import retryable, translate
from shared.messaging import propagation
from shared.metrics import TASKS_ENDED, group_registry
from shared.settings import Settings
from shared.telemetry import tracer
from workers.services import Services

log = structlog.get_logger(__name__)

MAX_RETRIES = 5
METRICS_PORT_RETRY_S = 2


def worth_a_retry(retries: int, error: BaseException) -> bool:
    """Dramatiq's `retry_when`: transient errors up to 5 times; work that a shutdown interrupted, always."""
    return isinstance(error, Shutdown) or (retries < MAX_RETRIES and retryable(error))


def never(retries: int, error: BaseException) -> bool:
    """Dramatiq's `retry_when` of what is not tried again."""
    return False


class Tracing(Middleware):
    """Continues the trace that a message carries: a consumer span around each attempt.

    Spans are kept beside the message, by thread; its options are JSON and go back into the queue.
    """

    def __init__(self) -> None:
        self._current = threading.local()

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        """Start the span."""
        span = tracer.start_span(
            f"process {message.queue_name}",
            context=propagation.extract(message.options),
            kind=SpanKind.CONSUMER,
            attributes={
                "messaging.system": "dramatiq",
                "messaging.operation.type": "process",
                "messaging.destination.name": message.queue_name,
                "messaging.message.id": message.message_id,
                "pricing.actor": message.actor_name,
                "pricing.retries": message.options.get("retries", 0),
            },
        )
        self._current.span, self._current.token = span, attach(set_span_in_context(span))

    def after_process_message(
        self,
        broker: Broker,
        message: MessageProxy,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        """End the span."""
        span: Span = self._current.span
        if exception is not None:
            span.record_exception(exception)
            span.set_status(StatusCode.ERROR, type(exception).__name__)
        detach(self._current.token)
        span.end()

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
        """End the span of a message that was cancelled."""
        self.after_process_message(broker, message)


class Settling(Middleware):
    """Says in the log, the metrics and the job's row how each attempt ended.

    An actor's option `settle` is called with the message, the exception and whether no attempt follows.
    """

    @property
    def actor_options(self) -> set[str]:
        """The option that actors have."""
        return {"settle"}

    def after_process_message(
        self,
        broker: Broker,
        message: MessageProxy,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        """Count, log, settle."""
        outcome = _outcome(message, exception)
        TASKS_ENDED.labels(message.actor_name, outcome).inc()
        if exception is None:
            return
        fields = {"actor": message.actor_name, "args": message.args, "outcome": outcome}
        if outcome == "failed" and translate(exception) is None:
            log.error("job failed", **fields, exc_info=exception)
        else:
            log.warning("attempt ended", **fields, error=f"{type(exception).__name__}: {exception}")
        broker.get_actor(message.actor_name).options["settle"](message, exception, message.failed)


class MetricsServer(Middleware):
    """Answers scrapes for all worker processes, from whichever of them has the port.

    Dramatiq could fork a process for it, but would not notice that process's death.
    """

    def __init__(self, settings: Settings) -> None:
        self._address = settings.worker_metrics_port, settings.host

    def after_process_boot(self, broker: Broker) -> None:
        """Begin to serve."""
        threading.Thread(target=self._serve, name="metrics", daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                start_http_server(*self._address, group_registry())
            except OSError:
                time.sleep(METRICS_PORT_RETRY_S)
            else:
                return


class Cleanup(Middleware):
    """Tells running jobs of the end, and closes the process's services after it, which also flushes the traces."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def before_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Begin nothing new."""
        self._services.stopping.set()

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Close."""
        self._services.close()


def _outcome(message: MessageProxy, exception: BaseException | None) -> str:
    if exception is None:
        return "succeeded"
    if isinstance(exception, Abort):
        return "aborted"
    return "failed" if message.failed else "retried"
