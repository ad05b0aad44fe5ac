"""Workbooks are read as CSV is, by the same rules."""

import gzip
from decimal import Decimal

import pytest

from shared.importing.columns import Columns, parse_map
from shared.postgres.pools import Pool
from shared.pricing.product import ProductInput
from tests.integration.importing.import_results import Writing, bad, products_in
from tests.integration.importing_examples import HEADER, imported
from tests.support.workbooks import Cell, workbook

HEAD: list[Cell] = list(HEADER.split(","))


def test_numbers_and_texts_of_a_workbook_become_products(file: Writing) -> None:
    rows: list[list[Cell]] = [
        ["Product ID ", "Name", "CURRENCY", "Base Price", "stock", None],
        [4711.0, 'Kettle "quick"', "eur", 19.900000000000002, 12.0],
        ["0815", "two\nlines", "EUR", "1.234,56", None],
        [None] * 5,
        ["A-3", "Läufer", "EUR", 5, 0],
    ]
    for content in (workbook(rows), workbook([[None]], [[None] * 5, *rows]), gzip.compress(workbook(rows))):
        found = products_in(file(content))
        assert [(one.product_id, one.base_price, one.stock) for one in found] == [
            ("4711", Decimal("19.9"), 12), ("0815", Decimal("1234.56"), None), ("A-3", Decimal(5), 0),
        ]  # fmt: skip
        assert [one.name for one in found] == ['Kettle "quick"', "two\nlines", "Läufer"]


def test_a_workbook_of_plain_rows_is_read_with_a_map_and_a_decimal_mark(file: Writing) -> None:
    content = workbook([["Nr", "Titel", "Preis", "x"], ["A-1", "Kettle", 19.9, 1.5], ["A-2", "Lamp", "1.500", 2]])
    columns = Columns(parse_map("product_id=nr,name=titel,base_price=preis"), {"currency": "EUR"}, decimal="comma")
    assert products_in(file(content), columns) == [
        ProductInput(product_id=product_id, name=name, currency="EUR", base_price=Decimal(price))
        for product_id, name, price in (("A-1", "Kettle", "19.9"), ("A-2", "Lamp", "1500"))
    ]


def test_a_bad_row_is_named_by_its_row(pool: Pool, file: Writing) -> None:
    rows: list[list[Cell]] = [HEAD, ["A-1", "Kettle", "EUR", 1], [None] * 4, ["A-2", "Lamp", "EUR", "1.500"]]
    assert bad(pool, file(workbook(rows))) == [(4, "base_price")]
    assert bad(pool, file(workbook([*rows, ["A-3", "x", "EUR", 1.125]]))) == [(4, "base_price"), (5, "base_price")]
    assert bad(pool, file(workbook([*rows, ["A-3", 'x"', "EUR", 1]]))) == [(4, "base_price")]


def test_which_of_several_worksheets_is_read_is_stated(pool: Pool, file: Writing) -> None:
    rows: list[list[Cell]] = [HEAD, ["A-1", "Kettle", "EUR", 1]]
    done = imported(pool, file(workbook(rows, rows)), dry_run=True)
    assert (done.code, "worksheet 'Sheet1' is read, and 1 more are not" in done.said) == (0, True), done


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04 and nothing else", "cannot be read as a workbook"),
        (workbook([[None]]), "a workbook without rows"),
        (workbook([["a", "b"]]), "no column product_id"),
        (workbook([HEAD]), "no rows"),
    ],
)
def test_a_file_that_is_no_such_workbook_is_refused(pool: Pool, file: Writing, content: bytes, said: str) -> None:
    done = imported(pool, file(content))
    assert (done.code, said in done.said) == (2, True), done
