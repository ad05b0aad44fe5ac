"""A file with some columns: absent ones leave their values, empty cells empty them, and the summary names them."""

from decimal import Decimal
from pathlib import Path

import pytest

from shared.importing.columns import Columns
from shared.postgres.pools import Pool
from shared.prices.history import price_changes
from tests.integration.catalogue_examples import new_id
from tests.integration.importing.import_results import Writing, counts, rejects_in, stored
from tests.integration.importing_examples import HEADER, NO_MAP, Done, imported
from tests.support.prerequisites import case_files

FULL = """\
product_id,name,category,currency,base_price,cost,stock,min_price,brand,tags
{0},Drill,tools,USD,100.00,60.00,12,95.00,Acme,a|b
"""
REPLACED = Columns(replaces=True)


@pytest.fixture
def drill(pool: Pool, file: Writing) -> str:
    product_id = new_id()
    assert imported(pool, file(FULL.format(product_id))).code == 0
    return product_id


def price(pool: Pool, product_id: str) -> Decimal | None:
    with pool.connection() as conn:
        return price_changes(conn, product_id, 1)[0].new_price


def test_new_prices_alone_leave_all_else(pool: Pool, file: Writing, drill: str) -> None:
    done = imported(pool, file(f"product_id,base_price\n{drill},97.00\n"))
    assert (done.code, counts(done)) == (0, "1 row: 0 new, 1 changed, 0 unchanged, 0 rejected")
    assert "base_price changed in 1 product\n" in done.said
    found = stored(pool, drill)
    assert [found.base_price, found.cost, found.stock, found.min_price] == [97, 60, 12, 95]
    assert (found.name, found.category, found.brand, found.tags) == ("Drill", "tools", "Acme", ("a", "b"))
    assert price(pool, drill) == 97
    again = imported(pool, file(f"product_id,base_price\n{drill},97.00\n"))
    assert counts(again) == "1 row: 0 new, 0 changed, 1 unchanged, 0 rejected"


@pytest.mark.parametrize(
    "content",
    [
        "product_id,cost,tags\n{},,\n",
        '{{"product_id": "{}", "cost": null, "tags": ""}}\n',
        "product_id;tags;COST\n{};;\n",
    ],
)
def test_an_empty_cell_empties_its_column_and_the_summary_says_so(
    pool: Pool, file: Writing, drill: str, content: str
) -> None:
    done = imported(pool, file(content.format(drill)))
    assert (done.code, "cost removed from 1 product\n" in done.said, "tags removed from 1" in done.said) == (
        0,
        True,
        True,
    )
    found = stored(pool, drill)
    assert (found.cost, found.tags, found.stock, found.name) == (None, (), 12, "Drill")


def test_tiers_that_stay_behind_a_new_list_price_are_said(pool: Pool, file: Writing, drill: str) -> None:
    tiers = '"[{""up_to"": 9, ""unit_price"": ""100.00""}, {""up_to"": null, ""unit_price"": ""97.00""}]"'
    assert imported(pool, file(f"product_id,tiers\n{drill},{tiers}\n")).code == 0
    done = imported(pool, file(f"product_id,base_price\n{drill},98.00\n"))
    assert "tiers stay as they were in 1 product with another base_price: they are charged as written" in done.said


def test_with_replace_a_row_is_the_whole_product(pool: Pool, file: Writing, drill: str) -> None:
    done = imported(pool, file(f"{HEADER}\n{drill},Drill,USD,100.00\n"), REPLACED)
    assert (done.code, "cost removed from 1 product" in done.said) == (0, True)
    found = stored(pool, drill)
    assert (found.cost, found.stock, found.category) == (None, None, "general")
    refused = imported(pool, file(f"product_id,base_price\n{drill},85.00\n"), REPLACED)
    assert (refused.code, "no column name, currency" in refused.said) == (2, True)


def test_rows_of_one_file_may_have_different_keys(pool: Pool, file: Writing, drill: str) -> None:
    other = new_id()
    assert imported(pool, file(FULL.format(other))).code == 0
    rows = f'{{"product_id": "{drill}", "stock": 3}}\n{{"product_id": "{other}", "name": "Saw"}}\n'
    assert imported(pool, file(rows)).code == 0
    first, second = stored(pool, drill), stored(pool, other)
    assert [first.stock, first.name, first.cost] == [3, "Drill", 60]
    assert [second.stock, second.name, second.cost] == [12, "Saw", 60]


def test_a_new_product_needs_more_and_the_reject_says_what(pool: Pool, file: Writing, drill: str) -> None:
    new = new_id()
    [[line, column, reason, raw]] = rejects_in(pool, file(f"product_id,base_price\n{drill},85.00\n{new},5.00\n"))
    assert (line, column, raw) == ("3", "name", f"{new},5.00")
    assert reason == f"is missing; {new} is no product yet, and a new one needs product_id, name, currency, base_price"
    [[_, column, reason, _]] = rejects_in(pool, file(f"product_id,name,base_price\n{new},Saw,5.00\n"))
    assert (column, "; --currency EUR names that of all rows" in reason) == ("currency", True)
    assert stored(pool, drill).base_price == 100
    done = imported(pool, file(f"product_id,base_price\n{drill},99.00\n{new},5.00\n"), skip_bad=True)
    assert [done.code, stored(pool, drill).base_price] == [1, 99]


@pytest.mark.parametrize(
    ("row", "column", "reason"),
    [
        ("product_id,max_price\n{},50.00\n", "min_price", "must not be above max_price"),
        ("product_id,base_price\n{},9.9951\n", "base_price", "must have at most 2 decimals in USD"),
        (
            "product_id,base_price,max_price\n{},9.9951,50.00\n",
            "base_price",
            "; min_price: `min_price` must not be above max",
        ),
        ("product_id,name\n{},\n", "name", "is missing; every product has one"),
    ],
)
def test_a_completed_product_must_be_valid(
    pool: Pool, file: Writing, drill: str, row: str, column: str, reason: str
) -> None:
    [[line, found, why, _]] = rejects_in(pool, file(row.format(drill)))
    assert (line, found, reason in why) == ("2", column, True), why


def test_a_dry_run_shows_the_first_differences_and_the_effect_on_prices(pool: Pool, file: Writing, drill: str) -> None:
    done = imported(pool, file(f"product_id,base_price,cost\n{drill},97.00,\n"), dry_run=True)
    lines = done.said.splitlines()
    assert f"{drill}: base_price 100.00 → 97.00" in lines
    assert f"{drill}: cost 60.00 → empty" in lines
    assert "published prices: 0 rise, 1 fall" in lines
    assert f"{drill}: price 100.00 → 97.00 USD" in lines
    assert [stored(pool, drill).cost, price(pool, drill)] == [60, 100]


def case(pool: Pool, name: str, columns: Columns = NO_MAP, rejects: Path | None = None) -> Done:
    return imported(pool, case_files() / name, columns, rejects=rejects)


@pytest.mark.parametrize("name", ["i26b-price-only.csv", "i26c-four-columns.csv"])
def test_the_case_files_of_some_columns_leave_cost_stock_and_bounds(pool: Pool, tmp_path: Path, name: str) -> None:
    assert case(pool, "i26a-full.csv", REPLACED, tmp_path / "rejects.csv").code == 0
    before = stored(pool, "B-301")
    assert case(pool, name, rejects=tmp_path / "rejects.csv").code == 0
    after = stored(pool, "B-301")
    assert [after.base_price, after.cost, after.stock, after.min_price] == [85, before.cost, before.stock, 95]
    assert (after.tiers, after.category) == (before.tiers, before.category)


def test_a_list_price_that_falls_by_half_is_charged_at_once(pool: Pool, tmp_path: Path) -> None:
    assert case(pool, "w2a.csv", rejects=tmp_path / "rejects.csv").code == 0
    assert case(pool, "w2b.csv", rejects=tmp_path / "rejects.csv").code == 0
    assert price(pool, "W-2") == 45
