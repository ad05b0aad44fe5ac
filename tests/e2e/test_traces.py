"""One trace from the request to the worker's last write, and who decides whether there is one."""

import json
from uuid import uuid4

import httpx
import pytest

from tests.e2e.whole_traces import kind_of, root_of, the, whole_trace
from tests.support.collector import Collector
from tests.support.engine import Engine
from tests.support.feed import FakeFeed
from tests.support.processes import Processes
from tests.support.waiting import eventually

LOOK_UP = "look sheets up"
PUT = CLOCK = "EVAL"  # the versioned put is a script, and so is the clock of a fill
CALLER = "1" * 16

# Of the semantic conventions, what every span of a kind has.
CONVENTIONS = {
    "http": {"http.request.method", "http.route", "http.response.status_code", "url.path"},
    "messaging": {f"messaging.{name}" for name in ("system", "operation.type", "destination.name", "message.id")},
    "database": {"db.system.name", "db.query.text"},
    "internal": {"pricing.event_id", "pricing.outcome"},
}
WAITING = "SELECT pid FROM pg_stat_activity WHERE application_name = 'pricing-worker' AND wait_event_type = 'Lock'"
BREAK_WAITING = WAITING.replace("pid", "pg_terminate_backend(pid)", 1)


def a_rival(product_id: str) -> dict[str, object]:
    return {"product_id": product_id, "competitor": "acme", "price": "95.00", "currency": "USD"}


def line(engine: Engine, service: str, trace_id: str, event: str) -> dict[str, str]:
    """A service's log line of one trace that says this, once it is written."""

    def look() -> dict[str, str] | None:
        records = [json.loads(text) for text in engine.log_lines(service, trace_id)]
        return next((record for record in records if record["event"] == event), None)

    return eventually(look, f"the {service}'s line {event!r} of trace {trace_id}")


def ask(engine: Engine, product_id: str, trace_id: str, sampled: bool) -> httpx.Response:
    """A price query with a caller's trace; one after the other they go to the same API process."""
    headers = {"traceparent": f"00-{trace_id}-{CALLER}-{sampled:02x}"}
    response = engine.http.post("/api/v1/price", json={"product_id": product_id}, headers=headers)
    assert response.status_code == 200, response.text
    return response


def test_an_event_over_http_is_one_trace_through_all_services(engine: Engine, collector: Collector) -> None:
    product_id = engine.put_product(strategy="match")["product_id"]
    published = engine.publish("competitor_price_changed", a_rival(product_id))
    assert engine.settled(published["event_id"])["status"] == "applied"

    spans = whole_trace(collector, published["trace_id"], "send market_events", "PUBLISH", "process events", PUT)
    assert {span.service for span in spans} == {"pricing-api", "pricing-listener", "pricing-worker"}
    root = root_of(spans)
    assert (root.service, root.name) == ("pricing-api", "POST /api/v1/publish-market-event")
    sent = the(spans, "send market_events", "pricing-api")
    received = the(spans, "process market_events", "pricing-listener")
    rung = the(spans, "send events", "pricing-listener")
    worked = the(spans, "process events", "pricing-worker")
    assert sent.parent_id == root.span_id
    assert the(spans, "PUBLISH", "pricing-api").parent_id == sent.span_id
    assert received.parent_id == sent.span_id
    assert rung.parent_id == received.span_id
    assert worked.parent_id == rung.span_id
    puts = [span for span in spans if span.name == PUT]
    assert {(span.service, span.parent_id) for span in puts} == {("pricing-worker", worked.span_id)}
    assert {span.attributes["messaging.message.id"] for span in (sent, received)} == {published["event_id"]}
    # By these a search finds them.
    assert {span.attributes["pricing.product_id"] for span in (sent, received, worked)} == {product_id}
    applied = the(spans, "apply events", "pricing-worker")
    about = {"product_id": product_id, "event_id": published["event_id"], "outcome": "applied", "version": "2"}
    assert {f"pricing.{name}": value for name, value in about.items()}.items() <= applied.attributes.items()


def test_an_event_of_any_redis_client_is_one_trace(engine: Engine, collector: Collector) -> None:
    product_id = engine.put_product(strategy="match")["product_id"]
    event = engine.settled(engine.broadcast("competitor_price_changed", a_rival(product_id)))
    spans = whole_trace(collector, event["trace_id"], "process market_events", "send events", "process events", PUT)
    assert {span.service for span in spans} == {"pricing-listener", "pricing-worker"}
    assert root_of(spans).service == "pricing-listener"


def test_an_event_of_any_redis_client_continues_its_trace(engine: Engine, collector: Collector) -> None:
    product_id = engine.put_product(strategy="match")["product_id"]
    trace_id = uuid4().hex
    traceparent = f"00-{trace_id}-{CALLER}-01"
    engine.broadcast("competitor_price_changed", a_rival(product_id), traceparent=traceparent)
    names = ("process market_events", "send events", "process events", PUT)
    spans = whole_trace(collector, trace_id, *names, caller=CALLER)
    assert root_of(spans, CALLER).service == "pricing-listener"


def test_the_log_lines_of_an_event_share_its_trace(engine: Engine) -> None:
    product_id = engine.put_product(strategy="match")["product_id"]
    published = engine.publish("competitor_price_changed", a_rival(product_id))
    engine.settled(published["event_id"])
    trace_id = published["trace_id"]
    accepted = line(engine, "api", trace_id, "event accepted")
    received = line(engine, "listener", trace_id, "event received")
    settled = line(engine, "worker", trace_id, "event completed")
    assert {record["event_id"] for record in (accepted, received, settled)} == {published["event_id"]}
    assert accepted["timestamp"] < settled["timestamp"]
    assert received["timestamp"] < settled["timestamp"]


@pytest.mark.parametrize("source", ["database", "cache"])
def test_a_traced_price_query_shows_its_look_up(engine: Engine, collector: Collector, source: str) -> None:
    product_id = str(engine.put_product()["product_id"])
    if source == "cache":
        engine.price(product_id)
    trace_id = uuid4().hex
    response = ask(engine, product_id, trace_id, sampled=True)
    assert response.json()["source"] == source
    assert response.headers["traceresponse"].split("-")[1] == trace_id

    # What the process held by itself was not looked up.
    wanted = [LOOK_UP, "MGET", CLOCK, "SELECT prices", PUT] if source == "database" else []
    spans = whole_trace(collector, trace_id, "POST /api/v1/price", *wanted, caller=CALLER)
    root = root_of(spans, CALLER)
    assert (root.service, root.name) == ("pricing-api", "POST /api/v1/price")
    assert root.attributes["pricing.source"] == source
    for span in spans:
        if span.name in wanted:
            assert span.parent_id == (root if span.name == LOOK_UP else the(spans, LOOK_UP, "pricing-api")).span_id


def test_a_price_query_that_the_caller_does_not_sample_leaves_no_span(engine: Engine, collector: Collector) -> None:
    product_id = str(engine.put_product()["product_id"])
    unsampled, sampled = uuid4().hex, uuid4().hex
    response = ask(engine, product_id, unsampled, sampled=False)
    assert response.headers["traceresponse"].split("-")[1] == unsampled
    # The same process exports in the order of the requests: when the later is there, the earlier would be.
    ask(engine, product_id, sampled, sampled=True)
    whole_trace(collector, sampled, "POST /api/v1/price", caller=CALLER)
    assert collector.trace(unsampled) == []


def test_an_event_that_its_sender_does_not_sample_keeps_its_trace_id(engine: Engine, collector: Collector) -> None:
    product_id = engine.put_product(strategy="match")["product_id"]
    unsampled = uuid4().hex
    traceparent = f"00-{unsampled}-{CALLER}-00"
    event = engine.settled(engine.broadcast("competitor_price_changed", a_rival(product_id), traceparent=traceparent))
    assert (event["status"], event["trace_id"]) == ("applied", unsampled)
    assert engine.history(product_id)[0]["trace_id"] == unsampled
    line(engine, "worker", unsampled, "event completed")
    # Each process exports in the order of its work: a later, sampled event's spans come after.
    sampled = uuid4().hex
    engine.broadcast("competitor_price_changed", a_rival(product_id), traceparent=f"00-{sampled}-{CALLER}-01")
    whole_trace(collector, sampled, "process market_events", "process events", caller=CALLER)
    assert collector.trace(unsampled) == []


def test_an_event_that_is_tried_again_stays_in_its_trace(engine: Engine, collector: Collector) -> None:
    product_id = str(engine.put_product(strategy="match")["product_id"])
    with engine.locked(product_id):
        published = engine.publish("competitor_price_changed", a_rival(product_id))
        # A connection that breaks is a passing error.
        eventually(lambda: engine.sql(BREAK_WAITING), "the worker's connection is broken while it waits for the row")
    assert engine.settled(published["event_id"])["status"] == "applied"

    names = ["process events", "process events", PUT]
    spans = whole_trace(collector, published["trace_id"], "PUBLISH", "INSERT market_events", *names)
    assert {span.service for span in spans} == {"pricing-api", "pricing-listener", "pricing-worker"}
    assert root_of(spans).name == "POST /api/v1/publish-market-event"
    for span in spans:
        assert CONVENTIONS[kind_of(span)] <= span.attributes.keys(), span
        if kind_of(span) == "messaging":
            kind, channel = (span.attributes[f"messaging.{name}"] for name in ("operation.type", "destination.name"))
            assert span.name == f"{kind} {channel}"
    # The sweep may ring once more, in the same trace.
    first, second, *more = (span for span in spans if span.name == "process events")
    sent = {span.span_id for span in spans if span.name == "send events"}
    assert first.parent_id == second.parent_id
    assert {span.parent_id for span in (first, *more)} == sent
    assert [span.is_error for span in (first, second, *more)] == [True, *[False] * (1 + len(more))]
    assert first.exceptions == ("psycopg.errors.AdminShutdown",)
    assert [span.attributes["pricing.retries"] for span in (first, second)] == ["0", "1"]
    # The pause before the retry is no wait in the queue.
    assert int(second.attributes["pricing.queue_wait_ms"]) * 1e6 < second.start_ns - first.end_ns
    by_id = {span.span_id: span for span in spans}
    assert all(span.start_ns >= by_id[span.parent_id].start_ns for span in spans if span.parent_id)


def test_an_event_that_the_sweep_finds_stays_in_its_trace(engine: Engine, collector: Collector) -> None:
    product_id = engine.put_product(strategy="match")["product_id"]
    with Processes(engine.home).stopped("listener"):
        published = engine.publish("competitor_price_changed", a_rival(product_id))
    assert engine.settled(published["event_id"])["status"] == "applied"
    spans = whole_trace(collector, published["trace_id"], "process market_events", "send events", "process events", PUT)
    sent = the(spans, "send market_events", "pricing-api")
    assert the(spans, "process market_events", "pricing-listener").parent_id == sent.span_id
    assert line(engine, "listener", published["trace_id"], "event received")["by"] == "sweep"


def test_one_decision_for_several_events_links_to_the_others(engine: Engine, collector: Collector) -> None:
    product_id = str(engine.put_product(strategy="match")["product_id"])
    with engine.locked(product_id):
        first = engine.publish("competitor_price_changed", a_rival(product_id))
        eventually(lambda: engine.sql(WAITING), "the worker waits for the row")
        others = [
            engine.publish("stock_changed", {"product_id": product_id, "stock": 3}),
            engine.publish("cost_changed", {"product_id": product_id, "cost": "50.00", "currency": "USD"}),
        ]
    for published in (first, *others):
        assert engine.settled(published["event_id"])["status"] == "applied"
    ids = {str(published["trace_id"]) for published in others}

    def linked() -> bool:
        decided = [span for span in collector.spans() if span.trace_id in ids and span.name == "apply events"]
        return any(set(span.links) & (ids - {span.trace_id}) for span in decided)

    eventually(linked, "a decision for both that links from the trace of one to that of the other")


def test_nothing_that_polls_begins_a_trace(engine: Engine, collector: Collector) -> None:
    published = engine.publish("demand_changed", {"product_id": engine.put_product()["product_id"], "index": 1.1})
    engine.settled(published["event_id"])
    whole_trace(collector, published["trace_id"], "process market_events", "process events")
    spans = collector.spans()
    roots = {(span.kind, span.name.partition(" ")[0]) for span in spans if not span.parent_id}
    # Requests over HTTP, messages that another service published without a trace, and decisions of the clock.
    assert {root for root in roots if root[0] != "SERVER"} <= {("CONSUMER", "receive"), ("CONSUMER", "sweep")}
    swept = {span.trace_id for span in spans if not span.parent_id and span.name.startswith("sweep")}

    def all_decided() -> bool:
        return swept <= {span.trace_id for span in collector.spans() if span.name == "SELECT products"}

    eventually(all_decided, "every sweep leads to a decision")


def test_a_task_that_is_tried_again_stays_in_its_trace(engine: Engine, collector: Collector, feed: FakeFeed) -> None:
    product_id = str(engine.put_product(strategy="match")["product_id"])
    with feed.away():
        task_id = engine.recalculate(product_ids=[product_id])
        eventually(lambda: engine.task(task_id)["attempts"] >= 2, "two attempts")
        feed.quotes[product_id] = [a_rival(product_id)]
    task = engine.ended(task_id)
    assert task["status"] == "succeeded"

    names = ["process tasks", "POST market-data feed"] * task["attempts"]
    spans = whole_trace(collector, task["trace_id"], "send tasks", *names)
    root = root_of(spans)
    assert (root.service, root.name) == ("pricing-api", "POST /api/v1/recalculate")
    sent = the(spans, "send tasks", "pricing-api")
    attempts = [span for span in spans if span.name == "process tasks"]
    assert {span.parent_id for span in attempts} == {sent.span_id}
    assert len(attempts) == task["attempts"]
    assert engine.history(product_id)[0]["trace_id"] == task["trace_id"]
    line(engine, "worker", task["trace_id"], "attempt ended")
    line(engine, "worker", task["trace_id"], "recalculation done")
    # The feed was told the trace as well.
    headers = [headers for headers, asked in feed.requests if product_id in asked["product_ids"]][-1]
    sent_with = {name.lower(): value for name, value in headers.items()}["traceparent"]
    assert sent_with.split("-")[1] == task["trace_id"]
