"""A batch of CloudEvents over HTTP: each event is answered by itself, in order."""

from typing import Any
from uuid import uuid4

import pytest

from tests.support.engine import Engine

BATCH = "application/cloudevents-batch+json"


def event(product_id: str, **fields: Any) -> dict[str, Any]:
    known = {"specversion": "1.0", "id": str(uuid4()), "source": "shop", "type": "demand_changed"}
    return known | {"data": {"product_id": product_id, "index": "1.1"}} | fields


def publish(engine: Engine, events: object, content_type: str = BATCH) -> Any:
    headers = engine.authorized | {"content-type": content_type}
    return engine.http.post("/api/v1/publish-market-event", json=events, headers=headers)


def test_each_event_is_answered_in_its_place(engine: Engine) -> None:
    first, second = (str(engine.put_product()["product_id"]) for _ in range(2))
    trace_id = uuid4().hex
    good = [event(first), event(second, traceparent=f"00-{trace_id}-b7ad6b7169203331-01")]
    wrong = [event(first, type="weather_changed"), event(first, data={"product_id": first, "index": 0}), {"id": "x"}]
    events = [good[0], wrong[0], good[1], wrong[1], wrong[2], good[0]]
    response = publish(engine, events, f"{BATCH}; charset=utf-8")
    assert response.status_code == 200
    items = response.json()["items"]
    assert [item.get("status") for item in items] == ["published", None, "published", None, None, "duplicate"]
    assert [item.get("event_id") for item in items] == [good[0]["id"], None, good[1]["id"], None, None, good[0]["id"]]
    assert [items[place]["error"]["status"] for place in (1, 3, 4)] == [422, 422, 422]
    assert [items[place]["error"]["path"] for place in (1, 3)] == ["$[1].type", "$[3].data.index"]
    assert items[2]["trace_id"] == trace_id
    assert items[0]["trace_id"] == items[5]["trace_id"] == response.headers["traceresponse"].split("-")[1]
    assert [engine.settled(each["id"])["status"] for each in good] == ["applied", "applied"]


def test_a_batch_that_is_sent_again_is_a_duplicate(engine: Engine) -> None:
    events = [event(str(engine.put_product()["product_id"])) for _ in range(3)]
    assert {item["status"] for item in publish(engine, events).json()["items"]} == {"published"}
    assert {item["status"] for item in publish(engine, events).json()["items"]} == {"duplicate"}


@pytest.mark.parametrize(("events", "status"), [([], 422), ([{}] * 1001, 422), ({"id": "x"}, 422)])
def test_a_body_that_is_no_batch_is_refused_whole(engine: Engine, events: object, status: int) -> None:
    assert publish(engine, events).status_code == status


def test_a_batch_needs_a_key_like_any_event(engine: Engine) -> None:
    response = engine.anonymous.post("/api/v1/publish-market-event", json=[], headers={"content-type": BATCH})
    assert response.status_code == 401


def test_a_thousand_events_are_one_batch(engine: Engine) -> None:
    product_id = str(engine.put_product()["product_id"])
    events = [event(product_id) for _ in range(1000)]
    items = publish(engine, events).json()["items"]
    assert [item["event_id"] for item in items] == [each["id"] for each in events]
    assert {engine.settled(each["id"])["status"] for each in events[::199]} <= {"applied", "superseded"}


def test_a_list_of_events_with_the_usual_type_is_refused(engine: Engine) -> None:
    assert publish(engine, [event("P-100")], "application/json").status_code == 422
