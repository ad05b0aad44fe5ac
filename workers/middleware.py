"""Dramatiq middleware: the trace, the rows, the metrics, the end. One concern each."""

import signal
import sys
import threading
import time
from types import FrameType
from typing import Any

import structlog
from dramatiq import Broker, Message, MessageProxy, Worker
from dramatiq.middleware import Middleware, Shutdown
from dramatiq_abort import Abort
from opentelemetry.context import attach, detach
from opentelemetry.trace import Span, SpanKind, StatusCode, set_span_in_context
from prometheus_client import start_http_server

from shared.errors import retryable, translate
from shared.settings import Settings
from shared.telemetry import propagation
from shared.telemetry.exposition import group_registry
from shared.telemetry.metrics import JOB_DURATION, QUEUE_WAIT, TASKS_ENDED
from shared.telemetry.tracing import tracer
from workers.services import Services

log = structlog.get_logger(__name__)

MAX_RETRIES = 5
ENQUEUED_AT_MS = "enqueued_at_ms"
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

    def before_enqueue(self, broker: Broker, message: Message[Any], delay: int | None) -> None:
        """Note when a message that is tried again comes into the queue, after its pause."""
        message.options[ENQUEUED_AT_MS] = int(time.time() * 1000)

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        """Start the span; `pricing.queue_wait_ms` says how long the message lay in its queue."""
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
                "pricing.queue_wait_ms": _waited_ms(message),
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

    def __init__(self) -> None:
        self._current = threading.local()

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        """Note how long it waited, and when it begins."""
        QUEUE_WAIT.labels(message.queue_name).observe(_waited_ms(message) / 1000)
        self._current.began = time.perf_counter()

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
        JOB_DURATION.labels(message.actor_name).observe(time.perf_counter() - self._current.began)
        TASKS_ENDED.labels(message.actor_name, outcome).inc()
        if exception is None:
            return
        fields = {"actor": message.actor_name, "args": message.args, "outcome": outcome}
        if outcome == "failed" and translate(exception) is None:
            log.error("job failed", **fields, exc_info=exception)
        else:
            say = {"aborted": log.info, "failed": log.error}.get(outcome, log.warning)
            say("attempt ended", **fields, error=f"{type(exception).__name__}: {exception}")
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


class PromptEnd(Middleware):
    """Stops the worker as soon as SIGTERM arrives; Dramatiq's own loop looks once a second whether it came."""

    def __init__(self, settings: Settings) -> None:
        self._timeout_ms = settings.drain_timeout_s * 1000

    def after_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """Take SIGTERM over; a second one is Dramatiq's again."""

        def end(signum: int, frame: FrameType | None) -> None:
            signal.signal(signal.SIGTERM, dramatiqs)
            worker.stop(timeout=self._timeout_ms)
            broker.close()
            sys.exit(0)

        dramatiqs = signal.signal(signal.SIGTERM, end)


def _waited_ms(message: MessageProxy) -> int:
    due_ms: int = message.options.get(ENQUEUED_AT_MS, message.message_timestamp)
    return max(0, int(time.time() * 1000) - due_ms)


def _outcome(message: MessageProxy, exception: BaseException | None) -> str:
    if exception is None:
        return "succeeded"
    if isinstance(exception, Abort):
        return "aborted"
    return "failed" if message.failed else "retried"
