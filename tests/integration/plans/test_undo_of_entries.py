"""Undo of what took entries away: a deleted list, an import of prices, a deleted product."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from click.testing import CliRunner

from shared.catalogue import former_entries, price_lists
from shared.commands.price_import import import_prices
from shared.errors import NoHistory, NotFound
from shared.plans.changes import Change, Deletion, EntriesChange
from shared.pricing.entries import EntryWrite
from shared.pricing.rulebook import PriceList
from shared.rulebook import revisions
from tests.integration.plans.shop import Shop
from tests.integration.plans.test_undo_of_facts import applied
from tests.integration.plans.undo_shop import UndoShop


@pytest.fixture
def undo_shop(shop: Shop) -> UndoShop:
    """A shop with the list `sale`: two products have an entry for everyone, the first one also one for a customer."""
    shop = UndoShop(shop.services)
    first, second, _ = shop.stock(3)
    written = EntryWrite(product_id=first, amount=Decimal(70)), EntryWrite(product_id=second, amount=Decimal(60))
    contract = EntryWrite(product_id=first, customer_id="c-1", amount=Decimal(50))
    sale = Change(price_list=PriceList(id="sale", kind="sale"))
    applied(shop, sale, Change(entries=EntriesChange(list="sale", entries=(*written, contract))))
    return shop


def entries(shop: UndoShop) -> dict[tuple[str, str | None], Decimal | None]:
    """The amounts of the list's entries in force."""
    with shop.services.pool.connection() as conn:
        found = price_lists.page(conn, "sale", revisions.in_force(conn, "sale"), None, 100, None)
    return {(row.product_id, entry.customer_id): entry.amount for row, entry in found}


def in_sheets(shop: UndoShop) -> dict[str, list[str]]:
    """The amounts in the sheets, of entries that count."""
    with shop.services.pool.connection() as conn:
        revision = revisions.in_force(conn, "sale")
        rows = conn.execute("SELECT product_id, sheet FROM prices ORDER BY product_id").fetchall()
    found: dict[str, list[str]] = {}
    for row in rows:
        kept = [
            one for one in msgspec.json.decode(row["sheet"]).get("entries", ()) if one.get("revision", 0) == revision
        ]
        found[row["product_id"]] = [one["amount"] for one in kept]
    return found


def import_file(shop: UndoShop, path: Path, *rows: str) -> UUID:
    """Import prices of the list; the import's id."""
    path.write_text("\n".join(["product_id,amount", *rows]))
    done = CliRunner().invoke(import_prices, [str(path), "--list", "sale"], obj=shop.services.settings)
    assert done.exit_code == 0, done.output
    found = re.search(r"--import (\S+)", done.output)
    assert found, done.output
    return UUID(found[1])


def purge(shop: UndoShop, **options: Any) -> int:
    with shop.services.pool.connection() as conn:
        return former_entries.purge(conn, 1_000, **options)


def test_a_deleted_list_comes_back_with_its_entries(undo_shop: UndoShop) -> None:
    shop = undo_shop
    before, sheets = entries(shop), in_sheets(shop)
    deleted = applied(shop, Change(delete=Deletion(price_list="sale")))
    purge(shop)
    shop.run()
    undone = shop.undo(plan=deleted)
    first, second, _ = shop.ids(3)
    assert shop.notes(undone) == {first: "restored", second: "restored"}
    assert (entries(shop), in_sheets(shop)) == (before, sheets)
    assert shop.notes(shop.undo(plan=deleted)) == {}
    assert (entries(shop), in_sheets(shop)) == (before, sheets)


def test_after_their_time_the_entries_of_a_deleted_list_are_gone_and_the_undo_says_so(undo_shop: UndoShop) -> None:
    shop = undo_shop
    deleted = applied(shop, Change(delete=Deletion(price_list="sale")))
    with shop.services.pool.connection() as conn:
        conn.execute("UPDATE former_revisions SET ended_at = ended_at - interval '8 days'")
    assert purge(shop) == 3
    with pytest.raises(NoHistory, match="the entries of price list sale are kept for 7 days"):
        shop.plan_undo(plan=deleted)


def test_an_import_of_prices_is_undone_except_for_what_a_person_wrote_since(
    undo_shop: UndoShop, tmp_path: Path
) -> None:
    shop = undo_shop
    first, second, third = shop.ids(3)
    before, prices = entries(shop), shop.prices()
    made = import_file(shop, tmp_path / "prices.csv", f"{first},69.00", f"{third},90.00")
    assert entries(shop) == {(first, None): Decimal(69), (third, None): Decimal(90)}
    purge(shop)
    written = EntryWrite(product_id=third, amount=Decimal(89))
    applied(shop, Change(entries=EntriesChange(list="sale", entries=(written,))))
    undone = shop.undo(import_=made)
    assert shop.notes(undone) == {first: "restored", second: "restored", third: "left"}
    assert (entries(shop), shop.prices()) == (before | {(third, None): Decimal(89)}, prices)
    assert in_sheets(shop) == {first: ["70"], second: ["60"], third: ["89"]}
    assert shop.notes(shop.undo(import_=made)) == {third: "left"}
    assert shop.notes(shop.undo(plan=undone.plan_id)) == {first: "restored", second: "restored"}
    assert entries(shop) == {(first, None): Decimal(69), (third, None): Decimal(89)}


def test_of_imports_of_a_list_the_last_one_is_undone(undo_shop: UndoShop, tmp_path: Path) -> None:
    shop = undo_shop
    first, _, third = shop.ids(3)
    earlier = import_file(shop, tmp_path / "prices.csv", f"{first},69.00")
    later = import_file(shop, tmp_path / "prices.csv", f"{third},90.00")
    purge(shop)
    with pytest.raises(NotFound, match="the last one of each list"):
        shop.plan_undo(import_=earlier)
    shop.undo(import_=later)
    assert entries(shop) == {(first, None): Decimal(69)}


def test_a_deleted_product_comes_back_with_its_entries(undo_shop: UndoShop) -> None:
    shop = undo_shop
    first = shop.ids(1)[0]
    before, sheets, prices = entries(shop), in_sheets(shop), shop.prices()
    deleted = applied(shop, Change(delete=Deletion(product=first)))
    assert (first, None) not in entries(shop)
    assert shop.notes(shop.undo(plan=deleted)) == {first: "restored"}
    assert (entries(shop), in_sheets(shop), shop.prices()) == (before, sheets, prices)
