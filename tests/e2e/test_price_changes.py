"""The stream of changes, through the real processes: live, resumed, filtered, and refused."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.support.engine import Engine
from tests.support.event_stream import EventStream, Received, opened

PATH = "/api/v1/price-changes"


def of(stream: EventStream, product_id: str) -> tuple[Received, dict[str, Any]]:
    """The next event about a product, and what it says of it."""
    for event in stream:
        for change in (event.data or {}).get("changes", ()):
            if change["product_id"] == product_id:
                return event, change
    raise AssertionError("the stream has ended")


def to(stream: EventStream, old_price: str) -> dict[str, Any]:
    """The next change from a price. A stream may begin with a change that was committed just before it."""
    changes = (change for event in stream for change in (event.data or {}).get("changes", ()))
    return next(change for change in changes if change["old_price"] == old_price)


def new_key(engine: Engine, *scopes: str) -> dict[str, Any]:
    answer = engine.http.post("/api/v1/keys", json={"name": f"k-{uuid4().hex[:8]}", "scopes": scopes})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def client_of(engine: Engine, key: dict[str, Any]) -> httpx.Client:
    return httpx.Client(base_url=engine.http.base_url, headers={"authorization": f"Bearer {key['key']}"}, timeout=60)


def test_a_price_change_comes_with_its_versions_and_prices_in_order(engine: Engine) -> None:
    with opened(engine.http) as stream:
        product = engine.put_product(base_price="100.00")
        engine.put_product(**product | {"base_price": "120.00"})
        engine.http.delete(f"/api/v1/products/{product['product_id']}")
        found = [of(stream, product["product_id"]) for _ in range(3)]
    prices = [(change["version"], change["old_price"], change["new_price"]) for _, change in found]
    assert prices == [(1, None, "100.00"), (2, "100.00", "120.00"), (3, "120.00", None)]
    first, change = found[0]
    assert first.type == first.data["type"] == "prices"
    assert first.id == first.data["change_id"]
    assert change["currency"] == "USD"
    assert [event.id for event, _ in found] == sorted({event.id for event, _ in found if event.id})


def test_an_event_of_the_market_reaches_the_stream(engine: Engine) -> None:
    product = engine.put_product(category="electronics", base_price="100.00")
    with opened(engine.http, product_id=product["product_id"]) as stream:
        offer = {"product_id": product["product_id"], "competitor": "acme", "price": "95.00", "currency": "USD"}
        engine.publish("competitor_price_changed", offer)
        change = to(stream, "100.00")
    assert change["product_id"] == product["product_id"]
    assert change["new_price"] != "100.00"


def test_a_resumed_stream_begins_behind_the_last_event_and_misses_none(engine: Engine) -> None:
    product = engine.put_product(base_price="100.00")
    with opened(engine.http, product_id=product["product_id"]) as stream:
        for price in ("110.00", "120.00"):
            engine.put_product(**product | {"base_price": price})
        first = next(event for event in stream if event.data and event.data["changes"][0]["new_price"] == "110.00")
    engine.put_product(**product | {"base_price": "130.00"})
    with opened(engine.http, product_id=product["product_id"], last_event_id=first.id) as stream:
        found = [stream.next().data["changes"][0]["new_price"] for _ in range(2)]
    assert found == ["120.00", "130.00"]


def test_a_resume_from_far_back_reads_the_log(engine: Engine) -> None:
    """Further back than a process keeps in memory."""
    product = engine.put_product(base_price="100.00")
    [row] = engine.sql("SELECT min(change_id) - 1 AS first FROM changes")
    for _ in range(3):
        query = {"product_id": product["product_id"], "type": "prices", "last_event_id": row["first"]}
        with opened(engine.http, **query) as stream:
            assert stream.next().data["changes"][0]["new_price"] == "100.00"


def test_a_category_leaves_others_out(engine: Engine) -> None:
    category = f"c-{uuid4().hex[:8]}"
    with opened(engine.http, category=category) as stream:
        engine.put_product(base_price="100.00")
        mine = engine.put_product(base_price="90.00", category=category)
        event = next(event for event in stream if event.type == "prices")
    assert [change["product_id"] for change in event.data["changes"]] == [mine["product_id"]]


def test_rules_and_the_edges_of_a_promotion_are_events(engine: Engine) -> None:
    now = datetime.now(UTC)
    name = f"p-{uuid4().hex[:8]}"
    body = {
        "id": name,
        "percent": "10",
        "from": (now + timedelta(seconds=3)).isoformat(),
        "until": (now + timedelta(seconds=3.2)).isoformat(),
    }
    with opened(engine.http) as stream:
        answer = engine.http.put(f"/api/v1/promotions/{name}", json=body)
        assert answer.status_code == 200, answer.text
        rules = next(event for event in stream if event.type == "rules")
        edges: list[tuple[str, str, bool]] = []
        while len(edges) < 2:
            event = next(event for event in stream if event.type == "window")
            if event.data["id"] == name:
                edges.append((event.data["part"], event.data["edge"], event.data["edge_at"] <= event.data["at"]))
    engine.http.delete(f"/api/v1/promotions/{name}")
    assert rules.data["rulebook_version"] == answer.json()["version"]
    assert edges == [("promotion", "from", True), ("promotion", "until", True)]


def test_the_ends_of_jobs_are_for_keys_that_operate(engine: Engine) -> None:
    reader = new_key(engine, "prices:read")
    with client_of(engine, reader) as http:
        refused = http.get(PATH, params={"type": "job"})
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:pricing:forbidden")
    with opened(engine.http, type="job") as stream:
        task_id = engine.recalculate(product_ids=[engine.put_product()["product_id"]])
        event = next(event for event in stream if event.data and event.data["task_id"] == task_id)
    assert (event.data["kind"], event.data["status"]) == ("recalculation", "succeeded")


def test_a_key_that_is_revoked_ends_its_streams(engine: Engine) -> None:
    key = new_key(engine, "prices:read")
    with client_of(engine, key) as http, opened(http) as stream:
        engine.http.delete(f"/api/v1/keys/{key['made']['id']}")
        assert list(stream)[-1] == Received("end", None, {"reason": "key"})


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ({"last-event-id": "999999999999"}, {}, 410),
        ({"last-event-id": "nonsense"}, {}, 422),
        ({"last-event-id": "-1"}, {}, 422),
        ({"accept": "application/json"}, {}, 406),
        ({}, {"type": "everything"}, 422),
        ({}, {"since": "yesterday"}, 422),
        ({}, {"product_id": [f"P-{number}" for number in range(101)]}, 422),
    ],
)
def test_a_stream_that_cannot_be_is_refused(
    engine: Engine, headers: dict[str, str], query: dict[str, Any], status: int
) -> None:
    answer = engine.http.get(PATH, headers=headers, params=query)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_last_event_that_the_log_does_not_have_is_told_where_to_begin(engine: Engine) -> None:
    engine.put_product()
    answer = engine.http.get(PATH, headers={"last-event-id": "999999999999"}).json()
    assert answer["type"] == "urn:pricing:changes-gone"
    assert "go on behind" in answer["detail"]
    with opened(engine.http, last_event_id=answer["begin"]):
        pass


def test_a_stream_needs_a_key_with_its_scope(engine: Engine) -> None:
    assert engine.anonymous.get(PATH).status_code == 401
    with client_of(engine, new_key(engine, "events:write")) as http:
        assert http.get(PATH).status_code == 403


def test_an_open_stream_is_counted_and_no_request_of_its_length_is(engine: Engine) -> None:
    with opened(engine.http) as stream:
        product = engine.put_product()
        of(stream, product["product_id"])
        page = engine.http.get("/metrics").text
        assert "pricing_change_streams 0.0" not in page
    assert 'route="/api/v1/price-changes"' in page
