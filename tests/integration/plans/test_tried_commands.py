"""Imports and deletions by commands are tried first: those that move too many prices too far need --confirm."""

from decimal import Decimal
from pathlib import Path

from click import Command
from click.testing import CliRunner, Result

from shared.commands.catalogue import import_file
from shared.commands.deleting import delete_command
from shared.commands.price_import import import_prices
from shared.plans.changes import Change, EntriesChange
from shared.pricing.entries import EntryWrite
from shared.pricing.rulebook import PriceList
from tests.integration.catalogue_examples import product
from tests.integration.plans.shop import Shop


def ran(shop: Shop, command: Command, *arguments: object) -> Result:
    return CliRunner().invoke(command, [str(one) for one in arguments], obj=shop.services.settings)


def test_an_import_that_moves_too_many_prices_needs_confirm_and_new_products_do_not_count(
    shop: Shop, tmp_path: Path
) -> None:
    shop.stock(60)
    before, file = shop.sheets(), tmp_path / "file.csv"
    header, new = "product_id,name,currency,base_price", [f"N-{at},Kettle,USD,30.00" for at in range(60)]
    file.write_text("\n".join([header, *(f"{one},Kettle,USD,30.00" for one in shop.ids(60)), *new]))
    refused = ran(shop, import_file, file)
    assert (refused.exit_code, "about 60 of 60 products" in refused.output) == (2, True), refused.output
    assert "--confirm; nothing was imported" in refused.output
    assert shop.sheets() == before
    few = tmp_path / "few.csv"
    few.write_text("\n".join([header, *new, f"{shop.ids(1)[0]},Kettle,USD,30.00"]))
    assert ran(shop, import_file, few).exit_code == 0
    done = ran(shop, import_file, file, "--confirm")
    assert (done.exit_code, shop.prices()[shop.ids(60)[-1]].price) == (0, Decimal(30)), done.output


def test_so_do_prices_of_a_list_also_those_that_the_file_leaves_out(shop: Shop, tmp_path: Path) -> None:
    ids, file = shop.stock(60), tmp_path / "prices.csv"
    shop.apply(shop.plan(Change(price_list=PriceList(id="sale", kind="sale"))).plan_id)
    file.write_text("\n".join(["product_id,amount", *(f"{one},30.00" for one in ids)]))
    refused = ran(shop, import_prices, file, "--list", "sale")
    assert (refused.exit_code, "about 60 of 60 products" in refused.output) == (2, True), refused.output
    with shop.services.pool.connection() as conn:
        assert conn.execute("SELECT FROM price_list_entries").rowcount == 0
    assert ran(shop, import_prices, file, "--list", "sale", "--confirm").exit_code == 0
    fewer = tmp_path / "fewer.csv"
    fewer.write_text(f"product_id,amount\n{ids[0]},30.00\n")
    refused = ran(shop, import_prices, fewer, "--list", "sale")
    assert (refused.exit_code, "about 59 of 60 products" in refused.output) == (2, True), refused.output


def test_so_does_a_deletion_of_too_many_products_or_of_a_list(shop: Shop) -> None:
    ids = shop.stock(60, category="toys")
    shop.write(*(product(product_id, category="toys" if at < 55 else "books") for at, product_id in enumerate(ids)))
    half = tuple(EntryWrite(product_id=product_id, amount=Decimal(50)) for product_id in ids)
    sale = Change(price_list=PriceList(id="sale", kind="sale"))
    shop.apply(shop.plan(sale, Change(entries=EntriesChange(list="sale", entries=half))).plan_id)
    refused = ran(shop, delete_command, "list", "sale")
    assert (refused.exit_code, "--confirm" in refused.output) == (1, True), refused.output
    refused = ran(shop, delete_command, "product", "--category", "toys")
    assert "55 of 60 products would be deleted, and 50 are allowed" in refused.output
    assert "nothing was deleted" in refused.output
    both = ("--category", "books", "--category", "toys")
    assert ran(shop, delete_command, "product", *both, "--confirm").exit_code == 0
    assert shop.prices() == {}
