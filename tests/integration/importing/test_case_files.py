"""The collected files of shops are read, each with the right list prices, or refused with the right sentence."""

from decimal import Decimal
from pathlib import Path

import pytest

from shared.importing.columns import Columns
from shared.postgres.pools import Pool
from tests.integration.importing.import_results import products_in
from tests.integration.importing_examples import NO_MAP, imported
from tests.support.prerequisites import case_files

POINT, COMMA = Columns(decimal="point"), Columns(decimal="comma")
READ: list[tuple[str, Columns, list[str]]] = [
    ("i02-decimal-comma.csv", NO_MAP, ["B-111 Kettle EUR 19.90"]),
    ("i03-semicolon.csv", NO_MAP, ["B-121 Kettle EUR 19.90", "B-122 Lamp EUR 1234.56"]),
    ("i03c-tab.tsv", NO_MAP, ["B-124 Kettle EUR 19.90"]),
    ("i03d-sep-line.csv", NO_MAP, ["B-125 Kettle EUR 19.90"]),
    ("i07-blank-comma-rows.csv", NO_MAP, ["B-161 Kettle USD 19.90", "B-162 Lamp USD 5.00"]),
    ("i07b-blank-row-after-header.csv", NO_MAP, ["B-163 Kettle USD 19.90"]),
    ("i08-trailing-delimiter.csv", NO_MAP, ["B-171 Kettle USD 19.90"]),
    ("i09-header-spaces.csv", NO_MAP, ["B-181 Kettle USD 19.90"]),
    ("i10-header-case.csv", NO_MAP, ["B-191 Kettle USD 19.90"]),
    ("i11-windows1252.csv", NO_MAP, ["B-201 Küchenmesser groß EUR 19.90", "B-202 Lamp EUR 5.00"]),
    ("i12-utf16le.csv", NO_MAP, ["B-211 Küchenmesser EUR 19.90"]),
    ("i12b-utf16-tab.txt", NO_MAP, ["B-212 Messer EUR 19.90"]),
    ("i20-sku-quote.csv", NO_MAP, ["eq-9'2\" Sail USD 10.00"]),
    ("i21-sku-slash.csv", NO_MAP, ["KD-601/MS2D Cutter USD 10.00"]),
    ("i22-sku-space.csv", NO_MAP, ["HEADS-5 1oz Orange Jig USD 10.00"]),
    ("i29-currency-lowercase.csv", NO_MAP, ["B-331 Kettle USD 19.90"]),
    ("i31-category-space.csv", NO_MAP, ["B-351 Radio USD 100.00", "B-352 Radio USD 100.00", "B-353 Radio USD 100.00"]),
    ("i32-trailing-space-cells.csv", NO_MAP, ["B-361 Kettle USD 19.90", "B-362 Kettle USD 19.90"]),
    ("i33-formula-name.csv", NO_MAP, ['B-371 =HYPERLINK("http://127.0.0.1/x","open") USD 1.00']),
    ("i30-thousands-dot.csv", COMMA, ["B-341 Sofa EUR 1500", "B-342 Sofa EUR 1234"]),
]
REFUSED = [
    ("i11b-windows1252-header.csv", NO_MAP, "unknown column 'Größe' (--map selects columns"),
    ("i30-thousands-dot.csv", NO_MAP, "'1.500' can be 1.5 or 1500: --decimal point or --decimal comma tells which"),
    ("i30-thousands-dot.csv", POINT, "line 3, base_price: `base_price` must have at most 2 decimals in EUR"),
]


@pytest.mark.parametrize(("name", "columns", "products"), READ)
def test_a_file_of_a_shop_is_read(name: str, columns: Columns, products: list[str]) -> None:
    found = products_in(case_files() / name, columns)
    assert [f"{one.product_id} {one.name} {one.currency} {one.base_price}" for one in found] == products
    assert all(one.category == one.category.strip() for one in found)


@pytest.mark.parametrize(("name", "columns", "sentence"), REFUSED)
def test_a_file_that_cannot_be_read_is_refused_with_a_sentence(
    pool: Pool, name: str, columns: Columns, sentence: str, tmp_path: Path
) -> None:
    done = imported(pool, case_files() / name, columns, rejects=tmp_path / "rejects.csv")
    assert (done.code, sentence in done.said) == (2, True), done.said


def test_tiers_are_read_as_written() -> None:
    first, *_ = products_in(case_files() / "i34-tiers.csv")
    assert [tier.unit_price for tier in first.tiers] == [Decimal(price) for price in ("9.90", "9.50", "9.00", "8.50")]
