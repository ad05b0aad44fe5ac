"""Exports: a price in the file is the one that the API answers; lists and histories come out as they are."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result

from shared.commands.exporting import export_file
from tests.support.engine import Engine

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
    engine.put_product(category=name, name="=1+1", currency="JPY", base_price="700")
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
    exported = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    items = [{"product_id": product_id, **query} for product_id in products(engine, category)]
    answers = engine.http.post("/api/v1/prices", json={"items": items}).json()["items"]
    assert [[row[name] for name in ("product_id", *SAME)] for row in exported] == [
        [answer["price"].get(name) for name in ("product_id", *SAME)] for answer in answers
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
