"""A corrupt cache entry is counted and healed; no answer shows it."""

from collections.abc import Callable
from uuid import uuid4

import httpx
import pytest

from tests.e2e.outages.probes import an_event, is_applied, is_served, price
from tests.support.engine import Engine
from tests.support.waiting import eventually


def corrupt_reads(engine: Engine) -> float:
    """How many cached entries did not decode so far, over all processes of the API."""
    for line in engine.http.get("/metrics").text.splitlines():
        if line.startswith('pricing_cache_reads_total{result="corrupt"}'):
            return float(line.split()[-1])
    return 0.0


CORRUPT: dict[str, Callable[[bytes], bytes]] = {
    "not-json": lambda entry: b"garbage",
    "empty": lambda entry: b"",
    "binary": lambda entry: b"\xff\xfe\x00" + entry,
    "truncated": lambda entry: entry[:-5],
    "no-version": lambda entry: entry.partition(b"|")[2],
    "other-version": lambda entry: b"7|" + entry.partition(b"|")[2],
    "another-shape": lambda entry: b"1|[]",
    "huge-version": lambda entry: b"9" * 30 + b"|garbage",
    "nan-price": lambda entry: entry.replace(b'"published_price":"100.00"', b'"published_price":"NaN"').replace(
        b'"published_price":"100"', b'"published_price":"NaN"'
    ),
}


@pytest.mark.parametrize("what", CORRUPT)
def test_a_corrupt_cache_entry_is_counted_and_healed(engine: Engine, what: str) -> None:
    product_id = str(engine.put_product()["product_id"])
    expected = price(engine, product_id).json()["final_price"]
    key = f"pricing:sheet:{product_id}"
    entry = engine.redis.get(key)
    assert isinstance(entry, bytes)
    corrupt = CORRUPT[what](entry)
    assert corrupt != entry
    before = corrupt_reads(engine)
    engine.redis.set(key, corrupt, ex=600)

    # Each process holds what it read for a second by itself; then it asks Redis again.
    answers: list[httpx.Response] = []

    def is_found() -> bool:
        answers.append(price(engine, product_id))
        return corrupt_reads(engine) > before

    eventually(is_found, "the entry is read")
    assert {(answer.status_code, answer.json()["final_price"]) for answer in answers} == {(200, expected)}
    eventually(lambda: engine.redis.get(key) == entry, "the entry is healed")


def test_an_event_is_applied_over_a_corrupt_entry(engine: Engine) -> None:
    product_id = str(engine.put_product(strategy="match")["product_id"])
    engine.redis.set(f"pricing:sheet:{product_id}", b"9" * 30 + b"|garbage", ex=600)
    is_applied(engine, an_event(product_id))
    is_served(engine, product_id, "95.00")
    eventually(lambda: price(engine, product_id).json()["source"] == "cache", "it is cached")


@pytest.mark.parametrize("reader", ["a-query", "an-event"])
def test_a_key_of_another_redis_type_is_healed(engine: Engine, reader: str) -> None:
    product_id = str(engine.put_product(strategy="match")["product_id"])
    key = f"pricing:sheet:{product_id}"
    engine.redis.delete(key)
    engine.redis.rpush(key, "not", "a", "sheet")
    if reader == "an-event":
        is_applied(engine, an_event(product_id, "100.00"))
        assert engine.redis.type(key) != b"list"
        price(engine, product_id)
    else:
        first = price(engine, product_id)
        assert (first.status_code, first.json().get("source")) == (200, "database"), first.text
    second = price(engine, product_id)
    assert (second.status_code, second.json().get("source")) == (200, "cache"), second.text
    assert second.json()["final_price"] == "100.00"


def test_a_bad_row_of_postgresql_fails_its_product_alone_and_is_replaced_by_a_write(engine: Engine) -> None:
    bad, good = (str(engine.put_product()["product_id"]) for _ in range(2))
    sheet = engine.sql("SELECT sheet FROM prices WHERE product_id = %s", bad)[0]["sheet"]
    engine.sql("UPDATE prices SET sheet = %s WHERE product_id = %s", sheet[:-5], bad)
    engine.redis.delete(f"pricing:sheet:{bad}")

    def is_unusable() -> bool:
        return price(engine, bad).status_code == 503

    eventually(is_unusable, "the row is read")
    problem = price(engine, bad).json()
    assert problem["type"] == "urn:pricing:unusable-product"
    assert problem["detail"] == f"the stored data of product {bad!r} cannot be used"
    items = engine.http.post("/api/v1/prices", json={"items": [{"product_id": bad}, {"product_id": good}]}).json()
    assert [item.get("error", {}).get("type") for item in items["items"]] == ["urn:pricing:unusable-product", None]
    task = engine.ended(engine.recalculate(product_ids=[bad, good]))
    assert (task["status"], task["result"]["failed"]) == ("succeeded", 1)
    assert task["result"]["failed_products"][0]["product_id"] == bad
    engine.put_product(product_id=bad, base_price="120.00")
    eventually(lambda: price(engine, bad).status_code == 200, "the write replaces the row")


@pytest.mark.parametrize("kind", ["a list", "bytes"])
def test_a_corrupt_generation_of_the_catalogue_fails_nothing_and_is_replaced(engine: Engine, kind: str) -> None:
    engine.redis.delete("pricing:generation")
    if kind == "a list":
        engine.redis.rpush("pricing:generation", "not", "a", "number")
    else:
        engine.redis.set("pricing:generation", b"\xff")
    missing = f"missing-{uuid4().hex}"
    assert {price(engine, missing).status_code for _ in range(5)} == {404}
    product_id = str(engine.put_product(product_id=missing)["product_id"])
    eventually(lambda: price(engine, product_id).status_code == 200, "the product is found", deadline_s=5)
    [generation] = engine.redis.mget(["pricing:generation"])
    assert isinstance(generation, bytes)
    assert generation.isdigit()
