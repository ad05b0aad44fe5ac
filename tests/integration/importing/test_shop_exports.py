"""Exports of shops go in without a map, with the right prices in the right currency, and nothing is lost in silence."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from shared.postgres.pools import connect
from shared.settings import Settings
from tests.integration.importing_examples import ran, with_rules
from tests.support import shop_exports
from tests.support.shop_exports import Export

NewDatabase = Callable[[], Settings]


@pytest.mark.parametrize(
    ("export", "said"),
    [
        (
            shop_exports.shopify(),
            [
                "line 40: JK-9-M has no price",
                "1 row: without a price, and left out",
                "100 rows: of pictures alone",
                "1 row: without a SKU, whose ids are the handle and the options",
                "6 rows: with a stock below 0, which is read as 0",
            ],
        ),
        (
            shop_exports.woocommerce(),
            ["100 rows: products of variations", "2 rows: with a stock below 0, which is read as 0"],
        ),
        (shop_exports.excel(), ["is read as Windows-1252"]),
        (shop_exports.xlsx(), []),
    ],
    ids=["shopify", "woocommerce", "excel", "xlsx"],
)
def test_an_export_goes_in_with_the_right_prices(
    migrated_database: NewDatabase, tmp_path: Path, export: Export, said: list[str]
) -> None:
    settings = with_rules(migrated_database())
    (tmp_path / "export").write_bytes(export.content)
    for dry_run in (["--dry-run"], []):
        done = ran(settings, "import", "export", *export.arguments, *dry_run, cwd=tmp_path)
        assert done.returncode == 0, done.stderr.decode()
        assert [line for line in said if line not in done.stderr.decode()] == [], done.stderr.decode()
    with connect(settings, "tests") as conn:
        found = conn.execute("SELECT product_id, base_price, currency, category, stock FROM products").fetchall()
        sold = conn.execute("SELECT product_id, document::json->>'amount' AS amount FROM price_list_entries").fetchall()
        [rulebook] = conn.execute("SELECT document FROM rulebooks ORDER BY version DESC LIMIT 1").fetchall()
    assert {row["product_id"]: row["base_price"] for row in found} == {k: Decimal(v) for k, v in export.prices.items()}
    assert {row["product_id"]: Decimal(row["amount"]) for row in sold} == {
        k: Decimal(v) for k, v in export.sales.items()
    }
    assert {row["currency"] for row in found} == {"EUR"}
    assert all(row["stock"] is None or row["stock"] >= 0 for row in found)
    lists = [(one["id"], one["kind"]) for one in rulebook["document"]["price_lists"]]
    assert lists == ([("sale", "sale")] if export.sales else [])
    if export.sales:
        assert {row["category"] for row in found} in ({"Jackets"}, {"Clothing > Hoodies"})


def test_sale_dates_are_windows_in_the_zone_of_the_shop(migrated_database: NewDatabase, tmp_path: Path) -> None:
    settings = with_rules(migrated_database())
    export = shop_exports.woocommerce()
    content = export.content.replace(b"2099-12-31 23:59:59", b"2099-06-30")
    done = ran(settings, "import", "-", *export.arguments, "--zone", "Europe/Berlin", cwd=tmp_path, stdin=content)
    assert done.returncode == 0, done.stderr.decode()
    query = b"SELECT document::json->>'opens' AS opens, document::json->>'closes' AS closes FROM price_list_entries"
    with connect(settings, "tests") as conn:
        windows = {(row["opens"], row["closes"]) for row in conn.execute(query)}
    assert windows == {("2019-12-31T23:00:00Z", "2099-06-30T22:00:00Z"), (None, None)}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from", "shopify"], "exports of Shopify name no currency: --currency EUR tells it"),
        (["--from", "woocommerce", "--currency", "EUR"], "no product export of WooCommerce: the header has no column"),
        (["--from", "shopify", "--currency", "EUR", "--map", "name=Title"], "--from has a map of its own"),
        (["--from", "woocommerce", "--currency", "EUR", "--zone", "Mars"], "IANA time zone"),
    ],
)
def test_what_is_no_such_export_is_refused(settings: Settings, tmp_path: Path, arguments: list[str], said: str) -> None:
    done = ran(settings, "import", "-", *arguments, cwd=tmp_path, stdin=shop_exports.shopify().content)
    assert (done.returncode, said in " ".join(done.stderr.decode().split())) == (2, True), done
