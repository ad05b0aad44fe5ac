"""The rulebook over HTTP: read whole, written in parts, each change a version; nothing wrong gets in."""

import json
import threading
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx
import pytest

from shared.messaging.channel import RULEBOOK
from shared.messaging.subscription import Subscription
from tests.e2e.bad_input.problem_documents import problem
from tests.support.engine import Engine
from tests.support.waiting import eventually

CONFIRM = {"confirm": "true"}
LARGE = {"attribute": "channel", "in": ["c"] * 180_000}


@pytest.fixture
def name() -> str:
    """A part of the test's own."""
    return f"t-{uuid4().hex[:10]}"


def put(engine: Engine, path: str, body: object, **headers: str) -> httpx.Response:
    """Put without a trial, which takes half a second; tests/e2e/test_plans.py has it."""
    return engine.http.put(f"/api/v1/{path}", json=body, params=CONFIRM, headers={**engine.authorized, **headers})


def delete(engine: Engine, path: str, **headers: str) -> httpx.Response:
    return engine.http.delete(f"/api/v1/{path}", params=CONFIRM, headers=headers)


def written(response: httpx.Response) -> int:
    assert response.status_code == 200, response.text
    return int(response.json()["version"])


def rulebook(engine: Engine, **query: object) -> dict[str, Any]:
    response = engine.http.get("/api/v1/rulebook", params={key: str(value) for key, value in query.items()})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def ids(parts: list[dict[str, Any]]) -> set[str]:
    return {part["id"] for part in parts}


def test_a_part_is_written_read_compared_and_deleted(engine: Engine, name: str) -> None:
    before = rulebook(engine)
    promotion = {"id": name, "percent": 12.5, "conditions": [{"attribute": "attributes.size", "eq": 2.50}]}
    version = written(put(engine, f"promotions/{name}", promotion))
    assert version > before["version"]
    found = rulebook(engine)
    [mine] = [part for part in found["promotions"] if part["id"] == name]
    assert (found["version"], found["cause"], found["author"]) == (version, f"promotion {name}", "admin")
    assert (mine["percent"], mine["conditions"]) == ("12.5", [{"attribute": "attributes.size", "eq": 2.5}])
    # Written back as it was read, it says the same.
    assert written(put(engine, f"promotions/{name}", mine)) == version
    assert written(put(engine, f"promotions/{name}", {**mine, "percent": "13"})) == version + 1
    changes = engine.http.get("/api/v1/rulebook/diff", params={"from": version, "to": version + 1}).json()["changes"]
    assert changes == [{"path": f"$.promotions.{name}.percent", "before": "12.5", "after": "13"}]
    assert written(delete(engine, f"promotions/{name}")) == version + 2
    problem(delete(engine, f"promotions/{name}"), 404)
    assert name in ids(rulebook(engine, version=version)["promotions"])
    assert name not in ids(rulebook(engine)["promotions"])
    assert rulebook(engine, at=found["at"])["version"] == version
    problem(engine.http.get("/api/v1/rulebook?at=2000-01-01T00:00:00Z"), 404)
    newest = engine.http.get("/api/v1/rulebook/versions?limit=2").json()
    assert [item["version"] for item in newest["items"]] == [version + 2, version + 1]
    rest = engine.http.get("/api/v1/rulebook/versions", params={"limit": 1, "cursor": newest["next"]}).json()
    assert rest["items"][0]["version"] == version


def test_a_window_is_stored_with_its_instants(engine: Engine, name: str) -> None:
    body = {"id": name, "percent": "5", "from": "2026-11-27T00:00:00", "zone": "Europe/Berlin"}
    written(put(engine, f"promotions/{name}", body))
    [mine] = [part for part in rulebook(engine)["promotions"] if part["id"] == name]
    assert (mine["from"], mine["opens"]) == ("2026-11-27T00:00:00", "2026-11-26T23:00:00Z")
    written(delete(engine, f"promotions/{name}"))


def test_if_match_takes_the_tag_of_the_part_and_of_the_rulebook(engine: Engine, name: str) -> None:
    path, body = f"price-lists/{name}", {"id": name, "kind": "sale"}
    whole = engine.http.get("/api/v1/rulebook").headers["etag"]
    assert put(engine, path, body, **{"if-match": "*"}).status_code == 412
    made = put(engine, path, body, **{"if-match": whole})
    written(made)
    part = made.headers["etag"]
    written(put(engine, f"promotions/{name}", {"id": name, "percent": "1"}))
    problem(put(engine, path, {**body, "priority": 1}, **{"if-match": whole}), 412)
    changed = put(engine, path, {**body, "priority": 1}, **{"if-match": f'"other", {part}'})
    written(changed)
    problem(delete(engine, path, **{"if-match": part}), 412)
    written(delete(engine, path, **{"if-match": changed.headers["etag"]}))
    written(delete(engine, f"promotions/{name}"))


def test_writers_at_once_lose_nothing(engine: Engine, name: str) -> None:
    """Without a condition all versions exist; with one, a single writer wins."""
    tag = engine.http.get("/api/v1/rulebook").headers["etag"]
    answers: list[httpx.Response] = []
    start = threading.Barrier(8)

    def write(number: int) -> None:
        headers = {"if-match": tag} if number < 4 else {}
        with httpx.Client(base_url=engine.http.base_url, headers=engine.authorized, timeout=30) as client:
            start.wait()
            body = {"id": f"{name}-{number}", "percent": "1"}
            answers.append(client.put(f"/api/v1/promotions/{name}-{number}", json=body, headers=headers))

    threads = [threading.Thread(target=write, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    good = [answer for answer in answers if answer.status_code == 200]
    assert {answer.status_code for answer in answers} <= {200, 412}
    assert len(good) in (4, 5)
    assert len({written(answer) for answer in good}) == len(good)
    mine = {part for part in ids(rulebook(engine)["promotions"]) if part.startswith(name)}
    assert mine == {answer.request.url.path.rpartition("/")[2] for answer in good}
    for part in mine:
        written(delete(engine, f"promotions/{part}"))


def test_a_part_that_another_one_needs_stays(engine: Engine, name: str) -> None:
    base, derived = f"{name}-a", f"{name}-b"
    written(put(engine, f"price-lists/{base}", {"id": base, "kind": "override"}))
    formula = {"of": {"list": base}, "percent": "5"}
    written(put(engine, f"price-lists/{derived}", {"id": derived, "kind": "override", "adjustment": formula}))
    refused = problem(delete(engine, f"price-lists/{base}"), 409)
    assert derived in refused["detail"]
    problem(delete(engine, "markets/DEFAULT"), 409)
    cycle = {"id": base, "kind": "override", "adjustment": {"of": {"list": derived}}}
    assert "lead back" in problem(put(engine, f"price-lists/{base}", cycle), 422, "$.adjustment.of.list")["detail"]
    for part in (derived, base):
        written(delete(engine, f"price-lists/{part}"))


def test_a_market_takes_its_multiplier(engine: Engine, name: str) -> None:
    product = engine.put_product()["product_id"]

    def price() -> tuple[str, str]:
        answer = engine.price(product, user_location=name)
        return answer["market"], answer["final_price"]

    written(put(engine, f"markets/{name}", {"multiplier": "1.2"}))
    eventually(lambda: price() == (name, "120.00"), "the market is in force")
    version = rulebook(engine)["version"]
    # The multiplier is no part of the rulebook.
    assert written(put(engine, f"markets/{name}", {"multiplier": 1.4})) == version
    eventually(lambda: price() == (name, "140.00"), "the multiplier is in force")
    # A code is one market, in any case.
    assert written(put(engine, f"markets/{name.upper()}", {})) == version
    written(delete(engine, f"markets/{name.upper()}"))
    assert name not in rulebook(engine)["markets"]
    eventually(lambda: price()[0] == "DEFAULT", "the market has gone")


def test_a_market_of_an_event_can_be_deleted(engine: Engine, name: str) -> None:
    event = engine.publish("market_changed", {"market": name, "multiplier": "1.5"})
    assert engine.settled(event["event_id"])["status"] == "applied"
    version = rulebook(engine)["version"]
    assert written(delete(engine, f"markets/{name}")) == version
    problem(delete(engine, f"markets/{name}"), 404)


def test_a_policy_that_decides_otherwise_recalculates_everything(engine: Engine) -> None:
    policy = rulebook(engine)["policy"]
    stacking = put(engine, "policy", {**policy, "stacking": "best"})
    version = written(stacking)
    assert recalculations(engine, stacking) == []
    margin = put(engine, "policy", {**policy, "min_margin": "0.06"})
    assert written(margin) == version + 1
    [task_id] = recalculations(engine, margin)
    assert engine.ended(task_id)["status"] in ("succeeded", "skipped")
    back = put(engine, "policy", policy)
    written(back)
    for task_id in recalculations(engine, back):
        engine.ended(task_id)


def recalculations(engine: Engine, write: httpx.Response) -> list[str]:
    """The recalculations that a write asked for, by its trace: other tests' follow-ups may run, too."""
    trace_id = write.headers["traceresponse"].split("-")[1]
    tasks = engine.http.get("/api/v1/tasks?kind=recalculation&limit=20").json()["items"]
    return [task["task_id"] for task in tasks if task["trace_id"] == trace_id]


def test_rates_are_put_and_deleted(engine: Engine) -> None:
    def rates(*rows: tuple[str, str, object]) -> httpx.Response:
        return put(engine, "exchange-rates", {"rates": [{"from": a, "to": b, "rate": rate} for a, b, rate in rows]})

    first = rates(("XAF", "XOF", "2"), ("XAF", "XPF", 1.5))
    version = first.json()["values_version"]
    assert rates(("XAF", "XOF", "2.0")).json()["values_version"] == version
    problem(rates(("XOF", "XAF", "0.6")), 422, "$.rates")
    for row, path in (
        (("XAF", "XXY", "1"), "$.rates[0].to"),
        (("XAF", "XAF", "1"), "$.rates[0].to"),
        (("XAF", "XOF", "0"), "$.rates[0].rate"),
        (("XAF", "XOF", "1e3"), "$.rates[0].rate"),
        (("XAF", "XOF", "1.1234567890123"), "$.rates[0].rate"),
    ):
        problem(rates(row), 422, path)
    problem(rates(("XAF", "XOF", 1), ("XAF", "XOF", 2)), 422, "$.rates[1]")
    for pair in ("XAF/XOF", "XAF/XPF"):
        assert engine.http.delete(f"/api/v1/exchange-rates/{pair}").json()["values_version"] > version
        problem(engine.http.delete(f"/api/v1/exchange-rates/{pair}"), 404)


def test_the_same_request_with_an_idempotency_key_is_done_once(engine: Engine, name: str) -> None:
    headers = {"idempotency-key": name}
    first = put(engine, f"promotions/{name}", {"id": name, "percent": "1"}, **headers)
    written(put(engine, f"promotions/{name}", {"id": name, "percent": "2"}))
    again = put(engine, f"promotions/{name}", {"id": name, "percent": "1"}, **headers)
    assert (again.json(), again.headers["etag"]) == (first.json(), first.headers["etag"])
    [mine] = [part for part in rulebook(engine)["promotions"] if part["id"] == name]
    assert Decimal(mine["percent"]) == 2
    written(delete(engine, f"promotions/{name}"))


def test_a_change_is_announced_after_its_commit(engine: Engine, name: str) -> None:
    subscription = Subscription(engine.redis, RULEBOOK)
    subscription.take(0.1)
    version = written(put(engine, f"promotions/{name}", {"id": name, "percent": "1"}))

    def announced() -> bool:
        return any(b'"version":%d' % version in message for message in subscription.take(0.1))

    eventually(announced, "the announcement")
    subscription.close()
    written(delete(engine, f"promotions/{name}"))


def test_an_entry_of_a_deleted_list_is_none_of_a_new_one(engine: Engine, name: str) -> None:
    product = engine.put_product()["product_id"]
    path = f"/api/v1/price-lists/{name}"
    header = {"id": name, "kind": "override"}
    written(put(engine, f"price-lists/{name}", header))
    entries = {"entries": [{"product_id": product, "amount": "7"}]}
    assert engine.http.put(f"{path}/entries", json=entries).status_code == 200
    assert engine.http.put(f"{path}/entries?replace=true", json=entries).status_code == 200
    # A header written by a person keeps the revision of its entries.
    written(put(engine, f"price-lists/{name}", {**header, "priority": 3}))
    assert len(engine.http.get(f"{path}/entries").json()["items"]) == 1
    written(engine.http.delete(path))
    problem(engine.http.get(f"{path}/entries"), 404)
    written(put(engine, f"price-lists/{name}", header))
    assert engine.http.get(f"{path}/entries").json()["items"] == []
    assert engine.sql("SELECT FROM price_list_entries WHERE list_id = %s", name) == []
    written(engine.http.delete(path))


def test_documents_that_are_deep_huge_or_contradictory_are_refused(engine: Engine, name: str) -> None:
    version = rulebook(engine)["version"]
    url = f"/api/v1/promotions/{name}"
    promotion = {"id": name, "percent": "1"}
    for body, status, path in (
        (b"[" * 900_000, 400, "$"),
        (b'{"id":' * 100_000, 400, "$"),
        (json.dumps({**promotion, "name": "x" * 201}).encode(), 422, "$.name"),
        (json.dumps({**promotion, "percent": "9" * 500_000}).encode(), 422, "$.percent"),
        (json.dumps({**promotion, "zone": "Mars"}).encode(), 422, "$.zone"),
        (json.dumps({**promotion, "from": "2027-03-28T02:30:00", "zone": "Europe/Berlin"}).encode(), 422, "$.from"),
        (json.dumps({**promotion, "from": "2026-01-02", "until": "2026-01-01"}).encode(), 422, "$.until"),
        (json.dumps({**promotion, "id": "other"}).encode(), 422, "$.id"),
        (json.dumps({**promotion, "conditions": [{"attribute": "shoe", "eq": 1}]}).encode(), 422,
         "$.conditions[0].attribute"),
        (json.dumps({**promotion, "conditions": [LARGE]}).encode(), 200, None),
    ):  # fmt: skip
        answer = engine.http.put(url, content=body)
        if status == 200:
            written(answer)
        else:
            problem(answer, status, path)
    # The rulebook has a megabyte in all.
    other = {**promotion, "id": f"{name}-2", "conditions": [LARGE]}
    refused = problem(put(engine, f"promotions/{name}-2", other), 422, "$")
    assert "take parts out" in refused["detail"]
    assert written(engine.http.delete(url)) == version + 2
