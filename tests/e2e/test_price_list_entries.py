"""Entries of price lists over HTTP: written in bulk, replaced at once, read back page by page."""

import threading
from typing import Any, cast
from uuid import uuid4

import httpx
import msgspec
import pytest
from msgspec.structs import replace

from shared.postgres import pools
from shared.pricing.rulebook import PriceList
from shared.rulebook import store
from shared.rulebook.store import By
from tests.support.engine import Engine
from tests.support.waiting import eventually


@pytest.fixture
def list_id(engine: Engine) -> str:
    """A new price list without entries."""
    header = PriceList(id=f"l-{uuid4().hex[:12]}", kind="override")
    with pools.connect(engine.settings, "tests") as conn:
        store.change(
            conn, lambda book: replace(book, price_lists=(*book.price_lists, header)), By("tests", "a price list")
        )
    return header.id


def put(engine: Engine, list_id: str, *entries: dict[str, Any], **more: Any) -> httpx.Response:
    return engine.http.put(f"/api/v1/price-lists/{list_id}/entries", json={"entries": entries}, **more)


def listed(engine: Engine, list_id: str, **query: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    cursor: dict[str, Any] = {}
    while True:
        page = engine.http.get(f"/api/v1/price-lists/{list_id}/entries", params={**query, **cursor}).json()
        items += page["items"]
        if page["next"] is None:
            return items
        cursor = {"cursor": page["next"]}


def in_sheet(engine: Engine, product_id: str) -> list[dict[str, Any]]:
    [row] = engine.sql("SELECT sheet FROM prices WHERE product_id = %s", product_id)
    return cast(list[dict[str, Any]], msgspec.json.decode(row["sheet"]).get("entries", []))


def test_entries_are_written_by_product_and_customer_and_read_back(engine: Engine, list_id: str) -> None:
    one, two = (engine.put_product()["product_id"] for _ in range(2))
    tiers = {"tier_mode": "graduated", "tiers": [{"up_to": "9", "unit_price": "40"}, {"unit_price": "35.5"}]}
    written: list[dict[str, Any]] = [
        {"product_id": one, "amount": "39.90"},
        {"product_id": one, "amount": "29.90", "from": "2026-11-27T00:00:00", "zone": "Europe/Berlin"},
        {"product_id": one, "customer_id": "c-17", "amount": "0"},
        {"product_id": two, **tiers},
    ]
    done = put(engine, list_id, *written)
    assert (done.status_code, done.json()["changed"]) == (200, 3), done.text
    assert put(engine, list_id, *written).json()["changed"] == 0
    assert sorted(listed(engine, list_id, limit=1), key=str) == sorted(written, key=str)
    assert listed(engine, list_id, product_id=one) == written[:3]
    assert [entry["amount"] for entry in in_sheet(engine, one)] == ["39.90", "29.90"]
    assert engine.price(one)["version"] == 2
    done = put(engine, list_id, {"product_id": one, "delete": True}, {"product_id": two, "amount": "30"})
    assert done.json()["changed"] == 2
    assert (in_sheet(engine, one), [entry["amount"] for entry in in_sheet(engine, two)]) == ([], ["30"])
    assert [entry["cause"] for entry in engine.history(one)] == ["write", "write", "write"]
    assert [entry.get("customer_id") for entry in listed(engine, list_id, product_id=one)] == ["c-17"]


def test_a_replacement_is_one_version_of_the_rulebook_and_leaves_nothing_behind(engine: Engine, list_id: str) -> None:
    one, two = (engine.put_product()["product_id"] for _ in range(2))
    put(engine, list_id, {"product_id": one, "amount": "80"})
    done = put(engine, list_id, {"product_id": two, "amount": "70"}, params={"replace": "true"})
    assert (done.status_code, done.json()["changed"]) == (200, 2), done.text
    assert listed(engine, list_id) == [{"product_id": two, "amount": "70"}]
    [header] = engine.sql(
        "SELECT l->>'revision' AS revision FROM rulebooks, jsonb_array_elements(document->'price_lists') l"
        " WHERE l->>'id' = %s AND version = %s",
        list_id,
        done.json()["version"],
    )
    assert header["revision"] == str(in_sheet(engine, two)[0]["revision"])
    # The former entry stands in its sheet, without effect, until the sheet is written.
    assert in_sheet(engine, one)[0].get("revision", 0) == 0
    put(engine, list_id, {"product_id": one, "amount": "60"})
    assert [entry["amount"] for entry in in_sheet(engine, one)] == ["60"]
    assert put(engine, list_id, params={"replace": "true"}).json()["changed"] == 2
    assert listed(engine, list_id) == []


@pytest.mark.parametrize(
    ("entry", "path"),
    [
        ({"amount": "x"}, "amount"),
        ({"amount": "1", "tiers": [{"unit_price": "1"}]}, "amount"),
        ({"tiers": [{"up_to": "9", "unit_price": "1"}, {"up_to": "5", "unit_price": "1"}]}, "tiers[1].up_to"),
        ({"tiers": [{"from": "1e1", "unit_price": "1"}]}, "tiers[0].from"),
        ({"amount": "1", "from": "2026-11-27", "until": "2026-11-27"}, "until"),
        ({"amount": "1", "zone": "Mars"}, "zone"),
        ({"amount": "1", "colour": "red"}, "colour"),
        ({"amount": "1", "delete": True}, "delete"),
        ({"product_id": "no-such-product", "amount": "1"}, "product_id"),
    ],
)
def test_a_wrong_entry_is_named_by_its_place_and_nothing_is_written(
    engine: Engine, list_id: str, entry: dict[str, Any], path: str
) -> None:
    product_id = engine.put_product()["product_id"]
    good = {"product_id": product_id, "amount": "5"}
    for replaces in ("false", "true"):
        refused = put(engine, list_id, good, {"product_id": product_id, **entry}, params={"replace": replaces})
        assert (refused.status_code, refused.json()["path"]) == (422, f"$.entries[1].{path}"), refused.text
    assert (listed(engine, list_id), in_sheet(engine, product_id)) == ([], [])


def test_an_unknown_list_and_a_crowded_product_are_refused(engine: Engine, list_id: str) -> None:
    product_id = engine.put_product()["product_id"]
    for replaces in ("false", "true"):
        unknown = put(engine, "none", {"product_id": product_id, "amount": "1"}, params={"replace": replaces})
        assert unknown.status_code == 404
    assert engine.http.get("/api/v1/price-lists/none/entries").status_code == 404
    crowd = [{"product_id": product_id, "amount": str(at)} for at in range(65)]
    refused = put(engine, list_id, *crowd)
    assert (refused.status_code, refused.json()["path"]) == (422, "$.entries[0]"), refused.text
    customers = [{**entry, "customer_id": f"c-{at}"} for at, entry in enumerate(crowd)]
    assert put(engine, list_id, *crowd[:64], *customers).status_code == 200


def test_ten_thousand_entries_fit_into_one_call(engine: Engine, list_id: str) -> None:
    product_id = engine.put_product()["product_id"]
    many = [
        {"product_id": product_id, "customer_id": f"customer-{at:06}", "amount": f"{at}.50", "until": "2030-01-01"}
        for at in range(10_000)
    ]
    assert put(engine, list_id, *many).json()["changed"] == 10_000
    assert len(listed(engine, list_id, limit=1000)) == 10_000
    assert put(engine, list_id, *many, many[0]).json()["path"] == "$.entries"


def test_quotes_go_from_the_old_entries_to_the_new_ones_and_never_past_them(engine: Engine, list_id: str) -> None:
    product_id = engine.put_product()["product_id"]
    queries = [{"product_id": product_id}, {"product_id": product_id, "customer_id": "c-17"}]

    def prices() -> list[str]:
        answers = [engine.http.post("/api/v1/price", json=query).json() for query in queries]
        return [answer["final_price"] for answer in answers]

    def written(amount: int, **more: Any) -> list[dict[str, Any]]:
        everyone = {"product_id": product_id, "amount": str(amount)}
        entries = [everyone, {**everyone, "customer_id": "c-17", "amount": str(amount - 1)}]
        assert put(engine, list_id, *entries, **more).status_code == 200
        return entries

    written(80)
    eventually(lambda: prices() == ["80.00", "79.00"], "the entries are quoted")
    stop, seen = threading.Event(), set[tuple[str, ...]]()

    def read() -> None:
        while not stop.is_set():
            seen.add(tuple(prices()))

    reader = threading.Thread(target=read)
    reader.start()
    written(70, params={"replace": "true"})
    eventually(lambda: prices() == ["70.00", "69.00"], "the replacement is quoted")
    stop.set()
    reader.join()
    amounts = {amount for pair in seen for amount in pair}
    assert amounts <= {"80.00", "79.00", "70.00", "69.00"}
    put(engine, list_id, {"product_id": product_id, "customer_id": "c-17", "delete": True})
    eventually(lambda: prices() == ["70.00", "70.00"], "the contract has ended")
