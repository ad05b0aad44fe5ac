"""Exports: a price in the file is the one that the API answers; lists and histories come out as they are."""

import csv
import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result

from shared.commands.exporting import export_file
from tests.support.engine import Engine
from tests.support.waiting import eventually

TIERS = [{"up_to": 9, "unit_price": "100.00"}, {"up_to": None, "unit_price": "90.00"}]
SAME = ("market", "currency", "final_price", "reference_price", "total", "discount_rate", "version", "rulebook_version")


def just(engine: Engine, *arguments: object) -> Result:
    return CliRunner().invoke(export_file, list(map(str, arguments)), obj=engine.settings)


@pytest.fixture(scope="module")
def category(engine: Engine) -> str:
    """Six products of a category of their own, one of them with a name that is a formula."""
    name = f"exported {uuid4().hex[:8]}"
    for number in range(5):
        engine.put_product(category=name, base_price=f"{number * 37 + 10}.95", tiers=TIERS if number % 2 else [])
    # In yen, with an id behind the others': the first product of the list is in dollars.
    engine.put_product(product_id=f"Y-{uuid4().hex}", category=name, name="=1+1", currency="JPY", base_price="700")
    return name


def products(engine: Engine, category: str) -> list[str]:
    listed = engine.http.get("/api/v1/products", params={"category": category}).json()["items"]
    return [each["product_id"] for each in listed]


@pytest.mark.parametrize(
    ("options", "query"),
    [
        ((), {}),
        (
            ("--market", "ny", "--member", "--quantity", 12),
            {"user_location": "ny", "is_prime_member": True, "quantity": 12},
        ),
        (("--channel", "app", "--group", "b2b"), {"channel": "app", "customer_groups": ["b2b"]}),
    ],
)
def test_exported_prices_are_those_that_the_api_answers(
    engine: Engine, category: str, tmp_path: Path, options: tuple[object, ...], query: dict[str, Any]
) -> None:
    path = tmp_path / "prices.jsonl.gz"
    done = just(engine, path, "--prices", "--category", category, *options)
    assert (done.exit_code, "6 prices" in done.stderr) == (0, True), done.output
    rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    assert_answered(engine, {row["product_id"]: row for row in rows}, **query)


def test_exported_prices_are_those_of_a_customer(engine: Engine, category: str) -> None:
    name, [first, *others] = f"contracts-{uuid4().hex[:8]}", products(engine, category)
    engine.http.put(f"/api/v1/price-lists/{name}", json={"id": name, "kind": "override"}).raise_for_status()
    entry = {"product_id": first, "customer_id": "c-17", "amount": "7.25"}
    engine.http.put(f"/api/v1/price-lists/{name}/entries", json={"entries": [entry]}).raise_for_status()
    try:
        rows = exported(engine, "--category", category, "--customer", "c-17")
        assert (rows[first]["final_price"], rows[first]["price_list"]) == ("7.25", name)
        assert all(rows[each]["price_list"] is None for each in others)
        assert_answered(engine, rows, customer_id="c-17")
        past = just(engine, "--prices", "--customer", "c-17", "--at", f"{datetime.now(UTC)}")
        assert (past.exit_code, "past entries of single customers are not kept" in past.stderr) == (1, True)
    finally:
        engine.http.delete(f"/api/v1/price-lists/{name}").raise_for_status()


def test_exported_prices_are_those_of_a_past_instant(engine: Engine) -> None:
    category = f"exported {uuid4().hex[:8]}"
    kept, gone, later = (f"T-{uuid4().hex[:10]}" for _ in range(3))
    for product_id in (kept, gone):
        engine.put_product(product_id=product_id, category=category, base_price="20.00", tiers=TIERS)
    at = engine.sql("SELECT clock_timestamp() AS at")[0]["at"]
    engine.put_product(product_id=kept, category="elsewhere", base_price="30.00")
    engine.put_product(product_id=later, category=category)
    engine.http.delete(f"/api/v1/products/{gone}").raise_for_status()
    eventually(lambda: datetime.now(UTC) > at + timedelta(seconds=1.5), "the instant is past")
    rows = exported(engine, "--category", category, "--at", at.isoformat(), "--quantity", 12)
    assert sorted(rows) == sorted([kept, gone])
    assert_answered(engine, rows, at=at.isoformat(), quantity=12)
    refused = just(engine, "--prices", "--at", "2020-01-01")
    assert (refused.exit_code, "prices are kept for" in refused.stderr) == (1, True)
    assert "no instant such as" in just(engine, "--prices", "--at", "yesterday").stderr


def exported(engine: Engine, *options: object) -> dict[str, dict[str, Any]]:
    done = just(engine, "--prices", "--format", "jsonl", *options)
    assert done.exit_code == 0, done.output
    return {row["product_id"]: row for row in map(json.loads, done.stdout.splitlines())}


def assert_answered(engine: Engine, rows: dict[str, dict[str, Any]], **query: Any) -> None:
    """The API answers these prices; a process may quote by the former rulebook for up to a second."""
    newest = max(row["rulebook_version"] for row in rows.values())
    items = [{"product_id": product_id, **query} for product_id in rows]

    def quoted() -> list[dict[str, Any]] | None:
        answers = engine.http.post("/api/v1/prices", json={"items": items}).json()["items"]
        prices = [answer["price"] for answer in answers]
        return prices if all(price["rulebook_version"] >= newest for price in prices) else None

    answers = eventually(quoted, f"the rulebook {newest} is in force")
    assert [[row[name] for name in ("product_id", *SAME)] for row in rows.values()] == [
        [price.get(name) for name in ("product_id", *SAME)] for price in answers
    ]


def test_a_product_without_a_price_has_the_reason(engine: Engine, category: str) -> None:
    done = just(engine, "--prices", "--category", category, "--currency", "nok")
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert len(rows) == 6
    assert all("NOK" in row["error"] and not row["final_price"] for row in rows)


def test_a_history_is_that_of_the_api(engine: Engine) -> None:
    product_id = engine.put_product()["product_id"]
    engine.put_product(product_id=product_id, base_price="90.00")
    rows = list(csv.DictReader(just(engine, "--history", "--product", product_id).stdout.splitlines()))
    found = engine.history(str(product_id))
    assert [(row["version"], row["new_price"], row["cause_id"]) for row in reversed(rows)] == [
        (str(item["version"]), item["new_price"], item["cause_id"]) for item in found
    ]
    assert "did you mean" in just(engine, "--history", "--product", f"x{product_id}").stderr


def test_the_options_of_one_export_are_not_taken_by_another(engine: Engine) -> None:
    for arguments, sentence in (
        (("--prices", "--history"), "name one"),
        (("--list", "no-such-list"), "no price list 'no-such-list'"),
        (("--prices", "--category", "no such category"), "no product is in the category"),
        (("a.xlsx", "--for-spreadsheets"), "in XLSX texts never run"),
    ):
        done = just(engine, *arguments)
        assert (done.exit_code != 0, sentence in done.stderr) == (True, True), done.output
