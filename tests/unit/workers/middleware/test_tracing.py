"""Each attempt is a span in the trace that its message carries."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dramatiq
import msgspec
import pytest
from dramatiq import Broker, MessageProxy, Worker
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Middleware, SkipMessage
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from shared.messaging import messages
from shared.telemetry.tracing import current_trace_id
from tests.unit.workers.message_examples import taken
from workers.middleware.tracing import Tracing

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CALLED = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "shop=1"}


class Cancelling(Middleware):
    """Skips each message, as an abort does to one that waits."""

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        raise SkipMessage


@pytest.fixture
def tracing() -> Tracing:
    return Tracing()


@pytest.fixture
def broker(tracing: Tracing) -> StubBroker:
    return StubBroker([tracing])


def span_of(spans: InMemorySpanExporter) -> ReadableSpan:
    [span] = spans.get_finished_spans()
    return span


def test_an_attempt_continues_the_trace_in_the_options(
    tracing: Tracing, broker: Broker, spans: InMemorySpanExporter
) -> None:
    message = taken(**CALLED)
    tracing.before_process_message(broker, message)
    assert current_trace_id() == TRACE
    tracing.after_process_message(broker, message)
    span = span_of(spans)
    assert span.parent
    assert (f"{span.parent.span_id:016x}", span.kind, span.name) == (PARENT, SpanKind.CONSUMER, "process events")
    assert not get_current_span().get_span_context().is_valid


def test_a_message_without_a_trace_begins_one(tracing: Tracing, broker: Broker, spans: InMemorySpanExporter) -> None:
    message = taken(traceparent="", tracestate="")
    tracing.before_process_message(broker, message)
    tracing.after_process_message(broker, message)
    assert span_of(spans).parent is None


def test_the_span_says_which_message_it_is_and_how_long_it_waited(
    tracing: Tracing, broker: Broker, spans: InMemorySpanExporter
) -> None:
    message = taken(retries=3, enqueued_at_ms=int(time.time() * 1000) - 5_000)
    tracing.before_process_message(broker, message)
    tracing.after_process_message(broker, message)
    attributes = dict(span_of(spans).attributes or {})
    waited_ms = attributes.pop("pricing.queue_wait_ms")
    assert isinstance(waited_ms, int)
    assert waited_ms >= 5_000
    assert attributes == {
        "messaging.system": "dramatiq",
        "messaging.operation.type": "process",
        "messaging.destination.name": "events",
        "messaging.message.id": "m-1",
        "pricing.actor": "reprice_products",
        "pricing.retries": 3,
        "pricing.product_id": "P-1",
    }


@pytest.mark.parametrize(
    ("actor", "argument", "subject"),
    [
        (messages.REPRICE_PRODUCTS, ["P-1"], {"pricing.product_id": "P-1"}),
        # Each of several has a span of its own.
        (messages.REPRICE_PRODUCTS, ["P-1", "P-2"], {}),
        (messages.CHANGE_MARKET, "NY", {"pricing.market": "NY"}),
        (messages.JOIN_RUN, "task-1", {"pricing.task_id": "task-1"}),
        *((actor, "task-1", {"pricing.task_id": "task-1"}) for actor in messages.TASK_ACTORS.values()),
    ],
)
def test_a_search_finds_the_span_by_the_subject_of_its_message(
    tracing: Tracing, broker: Broker, spans: InMemorySpanExporter, actor: str, argument: object, subject: dict[str, str]
) -> None:
    message = taken(actor, argument=argument)
    tracing.before_process_message(broker, message)
    tracing.after_process_message(broker, message)
    named = ("pricing.product_id", "pricing.market", "pricing.task_id")
    assert {key: value for key, value in (span_of(spans).attributes or {}).items() if key in named} == subject


def test_a_clock_that_is_behind_the_senders_makes_no_negative_wait(
    tracing: Tracing, broker: Broker, spans: InMemorySpanExporter
) -> None:
    message = taken(enqueued_at_ms=int(time.time() * 1000) + 60_000)
    tracing.before_process_message(broker, message)
    tracing.after_process_message(broker, message)
    assert (span_of(spans).attributes or {})["pricing.queue_wait_ms"] == 0


def test_the_options_that_return_to_the_queue_stay_as_they_are(tracing: Tracing, broker: Broker) -> None:
    message = taken(**CALLED)
    tracing.before_process_message(broker, message)
    assert msgspec.json.decode(message.encode())["options"] == CALLED
    tracing.after_process_message(broker, message)


def test_a_retry_keeps_its_trace_and_waits_from_when_it_comes_into_the_queue(broker: StubBroker) -> None:
    dramatiq.actor(broker=broker, actor_name="tried", queue_name="events")(lambda product_ids: None)
    began_ms = int(time.time() * 1000)
    retried = taken("tried", **CALLED, enqueued_at_ms=1)
    broker.enqueue(retried)  # type: ignore[arg-type] # as `Retries` does it
    options = msgspec.json.decode(broker.queues["events"].get())["options"]
    assert options.pop("enqueued_at_ms") >= began_ms
    assert options == CALLED


def test_an_error_is_on_the_span(tracing: Tracing, broker: Broker, spans: InMemorySpanExporter) -> None:
    message = taken()
    tracing.before_process_message(broker, message)
    tracing.after_process_message(broker, message, exception=ValueError("a fault of ours"))
    span = span_of(spans)
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "ValueError")
    [event] = span.events
    assert (event.attributes or {})["exception.message"] == "a fault of ours"


def test_the_span_of_a_message_that_is_skipped_ends(spans: InMemorySpanExporter) -> None:
    broker = StubBroker([Tracing(), Cancelling()])
    dramatiq.actor(broker=broker, actor_name="tried", queue_name="events")(lambda product_ids: None)
    worker = Worker(broker, worker_threads=1, worker_timeout=10)
    worker.start()
    broker.enqueue(taken("tried", **CALLED))  # type: ignore[arg-type] # a proxy will do
    broker.join("events", timeout=10_000)
    worker.stop()
    span = span_of(spans)
    assert (f"{span.context.trace_id:032x}", span.status.status_code) == (TRACE, StatusCode.UNSET)


def test_threads_have_spans_of_their_own(tracing: Tracing, broker: Broker, spans: InMemorySpanExporter) -> None:
    meet = threading.Barrier(2, timeout=10)
    seen: dict[str, Any] = {}

    def attempt(trace: str) -> None:
        message = taken(traceparent=f"00-{trace}-{PARENT}-01")
        tracing.before_process_message(broker, message)
        meet.wait()
        seen[trace] = current_trace_id()
        tracing.after_process_message(broker, message)

    traces = ["1" * 32, "2" * 32]
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(attempt, traces))
    assert seen == {trace: trace for trace in traces}
    assert {f"{span.context.trace_id:032x}" for span in spans.get_finished_spans()} == set(traces)
