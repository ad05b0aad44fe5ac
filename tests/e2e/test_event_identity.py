"""Source and id make an event: what comes twice changes nothing the second time."""

from uuid import uuid4

from tests.e2e.bad_input.problem_documents import problem
from tests.e2e.test_events import a_rival, all_before_is_taken, asked
from tests.support.engine import Engine
from tests.support.waiting import eventually


def test_an_event_that_comes_again_is_a_duplicate_and_changes_nothing(engine: Engine) -> None:
    product_id = engine.put_product(strategy="match")["product_id"]
    event_id = str(uuid4())
    first = engine.publish("competitor_price_changed", a_rival(product_id, "95.00"), event_id=event_id)
    assert engine.settled(event_id)["status"] == "applied"

    again = engine.publish("competitor_price_changed", a_rival(product_id, "95.00"), event_id=event_id)
    assert (first["status"], again["status"]) == ("published", "duplicate")
    engine.broadcast("competitor_price_changed", a_rival(product_id, "95.00"), id=event_id, source=first["source"])
    all_before_is_taken(engine)
    assert asked(engine, product_id) == "95.00"
    assert [change["cause_id"] for change in engine.history(product_id)].count(event_id) == 1
    assert len(engine.sql("SELECT 1 FROM market_events WHERE id = %s", event_id)) == 1


def test_an_id_that_was_used_with_other_data_is_refused_and_changes_nothing(engine: Engine) -> None:
    product_id = engine.put_product(strategy="match")["product_id"]
    event_id = str(uuid4())
    engine.publish("competitor_price_changed", a_rival(product_id, "95.00"), event_id=event_id)
    assert engine.settled(event_id)["status"] == "applied"

    body = {"type": "competitor_price_changed", "data": a_rival(product_id, "85.00"), "event_id": event_id}
    problem(engine.http.post("/api/v1/publish-market-event", json=body), 409)
    engine.broadcast("competitor_price_changed", a_rival(product_id, "84.00"), id=event_id, source="pricing-api")
    refused = eventually(
        lambda: engine.sql(
            "SELECT data FROM market_events WHERE status = 'rejected' AND reason LIKE %s", f"%{event_id}%"
        ),
        "the message is recorded as rejected",
    )
    assert [row["data"]["price"] for row in refused] == ["84.00"]
    assert asked(engine, product_id) == "95.00"


def test_the_same_id_of_another_source_is_another_event(engine: Engine) -> None:
    product_id = engine.put_product(strategy="match")["product_id"]
    event_id = str(uuid4())
    for source, price in (("one", "95.00"), ("two", "90.00")):
        published = engine.publish(
            "competitor_price_changed", a_rival(product_id, price), event_id=event_id, source=source
        )
        assert published["status"] == "published"
        assert engine.settled(event_id)["source"] == source
    response = engine.http.get(f"/api/v1/market-events/{event_id}", params={"source": "one"})
    assert (response.json()["source"], response.json()["data"]["price"]) == ("one", "95.00")
    assert asked(engine, product_id) == "90.00"
