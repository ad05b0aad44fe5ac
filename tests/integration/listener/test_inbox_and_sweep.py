"""Messages become recorded events; due targets and waiting tasks become messages for the workers."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
import redis
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import format_trace_id

from listener.inbox import Inbox
from listener.sweep import APART_MS, PRODUCTS_PER_MESSAGE, Sweep
from shared.market_events import views as event_views
from shared.postgres.pools import Pool
from shared.prices import repricing_queue
from tests.integration.catalogue_examples import NOON, new_id
from tests.integration.listener.conftest import Message, Queues, demand
from tests.support.waiting import eventually

WAITS_FOR = "SELECT 1 FROM pg_locks WHERE NOT granted AND %s = ANY(pg_blocking_pids(pid))"


def of_trace(span: ReadableSpan) -> str:
    return format_trace_id(span.context.trace_id)


def test_a_message_becomes_an_event_and_a_message_for_its_product(pool: Pool, queues: Queues, message: Message) -> None:
    product_id, event_id = new_id(), str(uuid4())
    events = Inbox(pool).record([message(data=demand(product_id), id=event_id)])
    Sweep(pool, queues).events(events)
    with pool.connection() as conn:
        assert event_views.view(conn, event_id, "elsewhere").status == "received"
    assert queues.sent == [[product_id]]


def test_an_event_that_the_api_recorded_is_enqueued_by_its_message(
    pool: Pool, queues: Queues, message: Message
) -> None:
    product_id = new_id()
    raw = message(data=demand(product_id))
    Inbox(pool).record([raw])
    Sweep(pool, queues).events(Inbox(pool).record([raw, raw]))
    assert queues.sent == [[product_id]]


def test_messages_that_are_no_events_are_kept_with_their_reason(pool: Pool, message: Message) -> None:
    unknown, ahead = str(uuid4()), str(uuid4())
    garbage = f"no JSON {uuid4()}"
    raws = [garbage.encode(), message("weather_changed", id=unknown), message(id=ahead, time="2999-01-01T00:00:00Z")]
    assert Inbox(pool).record(raws) == []
    with pool.connection() as conn:
        assert "unknown event type" in str(event_views.view(conn, unknown, "elsewhere").reason)
        assert "5 minutes ahead" in str(event_views.view(conn, ahead, "elsewhere").reason)
        kept = conn.execute("SELECT status FROM market_events WHERE raw = %s", [garbage]).fetchone()
    assert kept == {"status": "rejected"}


def test_products_share_messages_and_markets_have_their_own(pool: Pool, queues: Queues, message: Message) -> None:
    market = new_id()
    raws = [message(data=demand(new_id())) for _ in range(PRODUCTS_PER_MESSAGE + 1)]
    raws.append(message("market_changed", {"market": market, "multiplier": "1.1"}))
    Sweep(pool, queues).events(Inbox(pool).record(raws))
    assert sorted(len(sent) for sent in queues.sent if isinstance(sent, list)) == [1, PRODUCTS_PER_MESSAGE]
    assert f"#{market}" in queues.sent


def test_products_that_crashed_a_worker_have_messages_of_their_own_one_after_the_other(
    pool: Pool, queues: Queues, message: Message
) -> None:
    suspects, others = [new_id(), new_id()], [new_id() for _ in range(3)]
    events = Inbox(pool).record([message(data=demand(product_id)) for product_id in (*suspects, *others)])
    with pool.connection() as conn:
        conn.execute("UPDATE repricing_queue SET crashes = 1 WHERE target = ANY(%s)", [suspects])
    Sweep(pool, queues).events(events)
    assert sorted(map(len, queues.sent)) == [1, 1, 3]
    assert all([suspect] in queues.sent for suspect in suspects)
    assert queues.delays_ms == [0, 0, APART_MS]


def test_the_sweep_finds_events_whose_message_was_lost(pool: Pool, queues: Queues, message: Message) -> None:
    product_id = new_id()
    Inbox(pool).record([message(data=demand(product_id))])
    sweep = Sweep(pool, queues)
    eventually(lambda: (sweep.due(), queues.times(product_id))[1] == 1, "the sweep enqueues the product")
    sweep.due()
    assert queues.times(product_id) == 1


def test_products_that_are_due_by_the_clock_are_in_no_trace_of_an_event(
    pool: Pool, queues: Queues, spans: InMemorySpanExporter
) -> None:
    product_id = new_id()
    with pool.connection() as conn:
        repricing_queue.schedule(conn, {product_id: NOON})
    sweep = Sweep(pool, queues)
    eventually(lambda: (sweep.due(), queues.times(product_id))[1] == 1, "the sweep enqueues the product")
    [trace_id] = [trace for sent, trace in zip(queues.sent, queues.traces, strict=True) if product_id in sent]
    assert [one.name for one in spans.get_finished_spans() if of_trace(one) == trace_id] == ["sweep products"]


def test_targets_that_cannot_be_enqueued_are_due_again_at_once(pool: Pool, queues: Queues, message: Message) -> None:
    product_id = new_id()
    events = Inbox(pool).record([message(data=demand(product_id))])
    queues.failures = 1
    with pytest.raises(redis.ConnectionError):
        Sweep(pool, queues).events(events)
    Sweep(pool, queues).events(events)
    assert queues.sent == [[product_id]]


def test_a_requested_recalculation_is_enqueued_at_once(pool: Pool, queues: Queues, message: Message) -> None:
    events = Inbox(pool).record([message("recalculation_requested", {"category": "toys"})])
    Sweep(pool, queues).events(events)
    assert events[0].task_id in queues.sent


def test_a_message_continues_the_trace_of_its_event(pool: Pool, queues: Queues, message: Message) -> None:
    trace_id = uuid4().hex
    raw = message(traceparent=f"00-{trace_id}-b7ad6b7169203331-01")
    Sweep(pool, queues).events(Inbox(pool).record([raw]))
    assert queues.traces == [trace_id]


def test_a_worker_that_begins_and_a_listener_that_records_for_the_same_products_do_not_deadlock(
    pool: Pool, message: Message
) -> None:
    ids = sorted(new_id() for _ in range(2))
    inbox = Inbox(pool)
    inbox.record([message(data=demand(product_id)) for product_id in ids])
    with ThreadPoolExecutor(1) as threads, pool.connection() as worker, pool.connection() as looking:
        assert len(repricing_queue.begin(worker, ids)) == 2
        recording = threads.submit(inbox.record, [message(data=demand(product_id)) for product_id in reversed(ids)])
        eventually(
            lambda: looking.execute(WAITS_FOR, [worker.info.backend_pid]).fetchone(),
            "the listener waits for the worker",
        )
        worker.commit()
        assert len(recording.result()) == 2
