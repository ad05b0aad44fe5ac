"""Market events and their traces, on the private stack."""

import threading
from functools import partial
from uuid import uuid4

from tests.support.collector import CollectedSpan
from tests.support.private_stack import PrivateStack
from tests.support.waiting import eventually
from tests.verify.checklist import Check, timed

HERE = "CHI"  # its multiplier is 1
SERVICES = ("api", "listener", "worker")
LOOK_UPS = ("MGET", "POST market-data feed")
TRIES = 15
FEED_TAKES_S = 0.2


def competitor(product_id: str, price: str = "95.00") -> dict[str, object]:
    """What a competitor asks."""
    return {"product_id": product_id, "competitor": "acme", "price": price, "currency": "USD"}


def new_price(private: PrivateStack) -> str:
    engine = private.engine
    product_id = str(engine.put_product(strategy="match")["product_id"])
    assert engine.price(product_id, user_location=HERE)["final_price"] == "100.00"

    def way() -> dict[str, object]:
        published = engine.publish("competitor_price_changed", competitor(product_id))
        eventually(lambda: engine.price(product_id, user_location=HERE)["final_price"] == "95.00", "the new price")
        return published

    published, took_ms = timed(way)
    newest = engine.history(product_id)[0]
    assert (newest["cause"], newest["cause_id"]) == ("event", published["event_id"]), newest
    assert newest["trace_id"] == published["trace_id"], newest
    return f"served after {took_ms:.0f} ms; version {newest['version']} by event {published['event_id']}"


def log_lines(private: PrivateStack) -> str:
    engine = private.engine
    product_id = str(engine.put_product(strategy="match")["product_id"])
    published = engine.publish("competitor_price_changed", competitor(product_id))
    engine.settled(published["event_id"])
    trace_id = published["trace_id"]
    counts = {
        service: len(eventually(partial(engine.log_lines, service, trace_id), f"a line of the {service}"))
        for service in SERVICES
    }
    return f"{', '.join(f'{service} {count}' for service, count in counts.items())}, trace {trace_id}"


def one_trace(private: PrivateStack) -> str:
    engine, collector = private.engine, private.collector
    product_id = str(engine.put_product(strategy="match")["product_id"])
    trace_id = engine.publish("competitor_price_changed", competitor(product_id))["trace_id"]

    def look() -> list[CollectedSpan] | None:
        spans = collector.trace(trace_id)
        ids = {span.span_id for span in spans}
        roots = [span for span in spans if span.parent_id not in ids]
        is_whole = {span.service for span in spans} == {f"pricing-{service}" for service in SERVICES}
        # The worker's last write: the versioned put, a script.
        ends = any(span.service == "pricing-worker" and span.name == "EVAL" for span in spans)
        return spans if is_whole and ends and len(roots) == 1 else None

    spans = eventually(look, f"trace {trace_id} over three services, with one root")
    counts = ", ".join(f"{service} {sum(s.service == f'pricing-{service}' for s in spans)}" for service in SERVICES)
    return f"spans: {counts}, trace {trace_id}"


def bare_publish(private: PrivateStack) -> str:
    engine = private.engine
    product_id = str(engine.put_product(strategy="demand")["product_id"])

    def way() -> str:
        event_id = engine.broadcast("demand_changed", {"product_id": product_id, "index": 1.2})
        assert engine.settled(event_id)["status"] == "applied"
        return event_id

    event_id, took_ms = timed(way)
    price = engine.price(product_id, user_location=HERE)["final_price"]
    assert price == "120.00", f"the price is {price}"
    return f"applied after {took_ms:.0f} ms, event {event_id}"


def again(private: PrivateStack) -> str:
    engine = private.engine
    product_id = str(engine.put_product(strategy="match")["product_id"])
    event_id = str(uuid4())
    engine.publish("competitor_price_changed", competitor(product_id), event_id=event_id)
    assert engine.settled(event_id)["status"] == "applied"
    second = engine.publish("competitor_price_changed", competitor(product_id), event_id=event_id)
    other = {"type": "competitor_price_changed", "data": competitor(product_id, "85.00"), "event_id": event_id}
    refused = engine.http.post("/api/v1/publish-market-event", json=other).status_code
    price = engine.price(product_id, user_location=HERE)["final_price"]
    assert (second["status"], refused, price) == ("duplicate", 409, "95.00"), (second["status"], refused, price)
    return f"{second['status']}, with other data {refused}; the price stays {price}"


def concurrent_look_ups(private: PrivateStack) -> str:
    """Sequential look-ups never overlap, so that one overlap proves; the feed takes its time to make it visible."""
    product_id = str(private.engine.put_product()["product_id"])
    overlaps = [_overlap_ms(private, product_id) for _ in range(TRIES)]
    assert max(overlaps) > 0, f"{TRIES} requests, no overlap of {' and '.join(LOOK_UPS)}"
    seen = sum(overlap > 0 for overlap in overlaps)
    return f"Redis and the feed at the same time in {seen} of {TRIES} traces, up to {max(overlaps):.1f} ms"


def _overlap_ms(private: PrivateStack, product_id: str) -> float:
    trace_id = uuid4().hex
    headers = {"traceparent": f"00-{trace_id}-{'1' * 16}-01"}
    release = threading.Timer(FEED_TAKES_S, private.feed.hold.clear)
    private.feed.hold.set()
    release.start()
    try:
        private.engine.http.get(f"/api/v1/products/{product_id}", headers=headers).raise_for_status()
    finally:
        release.cancel()
        private.feed.hold.clear()

    def look() -> list[CollectedSpan] | None:
        spans = [span for span in private.collector.trace(trace_id) if span.name in LOOK_UPS]
        return spans if len(spans) == len(LOOK_UPS) else None

    one, other = eventually(look, f"both look-ups in trace {trace_id}")
    return (min(one.end_ns, other.end_ns) - max(one.start_ns, other.start_ns)) / 1e6


CHECKS = (
    Check("an event over HTTP: the new price is served, the history names it", new_price),
    Check("its log lines in all services, by trace id", log_lines),
    Check("its one trace over three services", one_trace),
    Check("a bare PUBLISH of another service is heard", bare_publish),
    Check("the same event again changes nothing", again),
    Check("concurrent look-ups of one request, in its trace", concurrent_look_ups),
)
