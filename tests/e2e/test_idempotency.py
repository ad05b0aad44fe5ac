"""A write that is sent again with its key is answered as before, and not done again."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.e2e.bad_input.problem_documents import EVENTS, PRICE, RECALCULATE, problem
from tests.support.engine import Engine
from tests.support.waiting import eventually


def send(engine: Engine, method: str, url: str, key: str, body: object, **headers: str) -> httpx.Response:
    named = engine.authorized | {"idempotency-key": key} | headers
    return engine.http.request(method, url, json=body, headers=named)


def rows(engine: Engine, key: str) -> list[dict[str, Any]]:
    return engine.sql("SELECT * FROM idempotency_keys WHERE key = %s", key)


def is_replay(response: httpx.Response) -> bool:
    return bool(response.headers.get("idempotency-replayed") == "true")


@pytest.mark.parametrize(
    ("url", "body"),
    [(RECALCULATE, {"product_ids": ["P-100"]}), (EVENTS, {"type": "recalculation_requested", "data": {}})],
)
def test_the_same_request_has_one_effect_and_one_answer(engine: Engine, url: str, body: object) -> None:
    key = str(uuid4())
    tasks = "SELECT count(*) AS n FROM tasks WHERE kind = 'recalculation'"
    before = engine.sql(tasks)[0]["n"]
    first, *others = [send(engine, "POST", url, key, body) for _ in range(3)]
    assert (first.status_code, is_replay(first)) == (200, False)
    for other in others:
        assert (other.status_code, other.content, is_replay(other)) == (200, first.content, True)
        assert other.headers["content-type"] == first.headers["content-type"]
    assert engine.sql(tasks)[0]["n"] == before + 1


def test_a_write_of_a_product_is_replayed_with_its_tag_and_overwrites_nothing(engine: Engine) -> None:
    product, key = engine.put_product(), str(uuid4())
    url = f"/api/v1/products/{product['product_id']}"
    first = send(engine, "PUT", url, key, product | {"base_price": "120.00"})
    engine.put_product(**product | {"base_price": "130.00"})
    again = send(engine, "PUT", url, key, product | {"base_price": "120.00"})
    assert (again.content, again.headers["etag"], is_replay(again)) == (first.content, first.headers["etag"], True)
    assert engine.price(product["product_id"])["base_price"] == "130.00"


def test_another_request_with_the_same_key_is_refused(engine: Engine) -> None:
    key = str(uuid4())
    assert send(engine, "POST", RECALCULATE, key, {"product_ids": ["P-100"]}).status_code == 200
    problem(send(engine, "POST", RECALCULATE, key, {"product_ids": ["P-101"]}), 422, "$")
    # Another path is another write.
    assert send(engine, "POST", EVENTS, key, {"type": "recalculation_requested", "data": {}}).status_code == 200


def test_a_refusal_is_replayed_too(engine: Engine) -> None:
    key = str(uuid4())
    first, again = (send(engine, "POST", RECALCULATE, key, {"colour": "red"}) for _ in range(2))
    problem(first, 422, "$.colour")
    assert (again.status_code, again.content, is_replay(first), is_replay(again)) == (422, first.content, False, True)


def test_while_the_first_request_runs_the_second_is_told_to_come_back(engine: Engine) -> None:
    product, key = engine.put_product(), str(uuid4())
    url, body = f"/api/v1/products/{product['product_id']}", product | {"base_price": "120.00"}
    with ThreadPoolExecutor(1) as threads:
        with engine.locked(product["product_id"]):
            first = threads.submit(send, engine, "PUT", url, key, body)
            eventually(lambda: rows(engine, key), "the first request is claimed")
            early = send(engine, "PUT", url, key, body)
            problem(early, 409)
            assert early.headers["retry-after"] == "1"
        assert first.result().status_code == 200
    late = send(engine, "PUT", url, key, body)
    assert (late.content, is_replay(late)) == (first.result().content, True)


def test_the_request_of_a_crashed_process_is_executed_by_its_retry(engine: Engine) -> None:
    key = str(uuid4())
    send(engine, "POST", RECALCULATE, key, {"product_ids": ["P-100"]})
    crashed = "UPDATE idempotency_keys SET status = NULL, lease_until = now() + %s::interval WHERE key = %s"
    engine.sql(crashed, "1 hour", key)
    problem(send(engine, "POST", RECALCULATE, key, {"product_ids": ["P-100"]}), 409)
    engine.sql(crashed, "-1 second", key)
    retry = send(engine, "POST", RECALCULATE, key, {"product_ids": ["P-100"]})
    assert (retry.status_code, is_replay(retry)) == (200, False)


def test_a_caller_without_a_known_key_gets_no_answer_of_others(engine: Engine) -> None:
    key = str(uuid4())
    send(engine, "POST", RECALCULATE, key, {"product_ids": ["P-100"]})
    for authorization in ("", "Bearer nobody"):
        refused = send(engine, "POST", RECALCULATE, key, {"product_ids": ["P-100"]}, authorization=authorization)
        problem(refused, 401)
    assert len(rows(engine, key)) == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "é"])
def test_a_key_that_is_none_is_refused(engine: Engine, key: str) -> None:
    headers = [("authorization", f"Bearer {engine.key}"), ("idempotency-key", key)]
    encoded = [(name.encode(), value.encode()) for name, value in headers]
    problem(engine.http.post(RECALCULATE, json={}, headers=encoded), 422, "$")


def test_a_price_query_needs_no_key_and_keeps_no_answer(engine: Engine) -> None:
    key = str(uuid4())
    answer = engine.http.post(PRICE, json={"product_id": "P-100"}, headers={"idempotency-key": key})
    assert (answer.status_code, rows(engine, key)) == (200, [])
