"""Imports that are planned or undone, and plans that create and delete products."""

import re
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
from msgspec.structs import replace

from api.plan_writes import PlanAccepted
from api.routes.imports import apply_import
from shared.catalogue.staged_imports import StagedImport
from shared.errors import Forbidden, InvalidInput, NotFound, PlanFirst, StalePlan
from shared.importing import planned, source
from shared.importing.columns import Columns
from shared.plans.changes import Change, Deletion
from tests.integration.catalogue_examples import product
from tests.integration.importing_examples import imported
from tests.integration.plans.shop import NoQueue, Shop
from tests.integration.plans.test_undo_of_facts import applied, facts
from tests.integration.plans.undo_shop import UndoShop
from workers.jobs import plans

HEADER = "product_id,name,category,currency,base_price,stock"


@pytest.fixture
def undo_shop(shop: Shop) -> UndoShop:
    return UndoShop(shop.services)


def import_rows(shop: UndoShop, path: Path, *rows: str) -> UUID:
    """Import rows; the import's id."""
    path.write_text("\n".join([HEADER, *rows]))
    done = imported(shop.services.pool, path)
    assert done.code == 0, done.said
    found = re.search(r"--import (\S+)", done.said)
    assert found, done.said
    return UUID(found[1])


def exists(shop: UndoShop, product_id: str) -> bool:
    return product_id in shop.prices()


def test_an_import_is_undone_with_the_facts_and_the_products_that_it_wrote(undo_shop: UndoShop, tmp_path: Path) -> None:
    shop = undo_shop
    first, _, new = shop.ids(3)
    shop.stock(2, stock=5, category="toys")
    before, old = shop.prices(), facts(shop, first)
    done = import_rows(
        shop,
        tmp_path / "file.csv",
        f"{first},Renamed,toys,USD,50.00,7",
        f"{new},Kettle,toys,USD,20.00,",
    )
    assert (shop.prices()[first].price, exists(shop, new)) != (before[first].price, False)
    undone = shop.undo(import_=done)
    assert shop.notes(undone) == {first: "restored", new: "deleted"}
    assert (shop.prices(), facts(shop, first)) == (before, old)
    assert (shop.undo(import_=done).result or {})["undo"] == {}
    again = shop.undo(plan=undone.plan_id)
    assert shop.notes(again) == {first: "restored", new: "restored"}
    assert (str(shop.price(new)), facts(shop, new).name, facts(shop, first).name) == ("20.00", "Kettle", "Renamed")
    assert shop.notes(shop.undo(import_=done)) == {first: "restored", new: "deleted"}
    assert (shop.prices(), facts(shop, first)) == (before, old)


def test_what_a_person_wrote_since_an_import_is_left(undo_shop: UndoShop, tmp_path: Path) -> None:
    shop = undo_shop
    first, other, new, renamed = shop.ids(4)
    shop.stock(2, category="toys")
    rows = (f"{product_id},Kettle,toys,USD,50.00," for product_id in (first, other, new, renamed))
    done = import_rows(shop, tmp_path / "file.csv", *rows)
    shop.write(
        product(other, base_price=Decimal(60)),
        product(new, base_price=Decimal(60)),
        product(renamed, name="A name", category="toys", base_price=Decimal("50.00")),
    )
    price = shop.prices()
    undone = shop.undo(import_=done)
    assert shop.notes(undone) == {first: "restored", other: "left", new: "left", renamed: "left"}
    assert {key: one for key, one in shop.prices().items() if key != first} == {
        key: one for key, one in price.items() if key != first
    }


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_imports_of_one_product_are_undone_from_the_last_one(
    undo_shop: UndoShop, tmp_path: Path, order: tuple[int, int]
) -> None:
    shop = undo_shop
    [product_id] = shop.stock(1, category="toys")
    before = shop.prices()
    done = [import_rows(shop, tmp_path / "file.csv", f"{product_id},Kettle,toys,USD,{price}.00,") for price in (50, 40)]
    for index in order:
        shop.undo(import_=done[index])
    # The first one is under the second, which a person wrote since.
    assert (shop.prices() == before) == (order == (1, 0))
    assert facts(shop, product_id).base_price == (Decimal(100) if order == (1, 0) else Decimal(50))


def test_an_unknown_import_is_refused(undo_shop: UndoShop) -> None:
    with pytest.raises(NotFound):
        undo_shop.plan_undo(import_=UUID(int=1))


def test_a_new_product_is_planned_created_and_deleted_by_the_undo(undo_shop: UndoShop) -> None:
    shop = undo_shop
    [product_id] = shop.ids(1)
    plan = shop.plan(Change(product=product(product_id)))
    result: dict[str, Any] = plan.result or {}
    assert (result["created"], result["products"]) == (1, 1)
    [item] = shop.items(plan.plan_id)
    assert (item.old_price, str(item.new_price)) == (None, "100.00")
    assert (shop.prices(), shop.apply(plan.plan_id).status) == ({}, "applied")
    assert (shop.planned(plan.plan_id), plan.redecided) == (shop.prices(), 0)
    undone = shop.undo(plan=plan.plan_id)
    assert (shop.notes(undone), shop.prices()) == ({product_id: "deleted"}, {})
    assert shop.notes(shop.undo(plan=undone.plan_id)) == {product_id: "restored"}
    assert str(shop.price(product_id)) == "100.00"


def test_a_deletion_is_planned_and_undone_with_its_price(undo_shop: UndoShop) -> None:
    shop = undo_shop
    gone, other = shop.stock(2, stock=3)
    before, old = shop.prices(), facts(shop, gone)
    plan = shop.plan(Change(delete=Deletion(product=gone)))
    [item] = shop.items(plan.plan_id)
    assert (item.product_id, item.new_price, (plan.result or {})["deleted"]) == (gone, None, 1)
    assert shop.prices() == before
    done = applied(shop, Change(delete=Deletion(product=gone)))
    assert set(shop.prices()) == {other}
    assert shop.notes(shop.undo(plan=done)) == {gone: "restored"}
    assert (shop.prices(), facts(shop, gone)) == (before, old)
    shop.run()
    assert shop.price(gone) == Decimal(100)  # its signals are gone


def test_a_deletion_of_what_does_not_exist_or_is_written_is_refused(undo_shop: UndoShop) -> None:
    [product_id] = undo_shop.stock(1)
    unknown, written = Change(delete=Deletion(product="unknown")), Change(delete=Deletion(product=product_id))
    for changes, path in (
        ([unknown], "$.changes[0].delete.product"),
        ([Change(product=product(product_id)), written], "$.changes[1].delete.product"),
    ):
        with pytest.raises(InvalidInput) as refused:
            undo_shop.request(*changes)
        assert refused.value.path == path


def staged(shop: UndoShop, path: Path, *rows: str, **options: Any) -> StagedImport:
    """An import that waits for a plan."""
    path.write_text("\n".join(rows))
    with shop.services.pool.connection() as conn, source.opened(path) as opened:
        return planned.stage(conn, opened, Columns(), "shop", **options)


def test_an_import_is_planned_and_its_application_writes_it(undo_shop: UndoShop, tmp_path: Path) -> None:
    shop = undo_shop
    first, same, new = shop.ids(3)
    shop.stock(2, stock=5, category="toys", cost=Decimal(9))
    before, old, state = shop.prices(), facts(shop, first), shop.sheets()
    rows = (f"{first},Renamed,toys,USD,50.00", f"{same},{old.name},toys,USD,100.00", f"{new},Kettle,toys,USD,20.00")
    found = staged(shop, tmp_path / "file.csv", HEADER.removesuffix(",stock"), *rows)
    assert (found.created, found.changed, found.unchanged, found.rejected) == (1, 1, 1, 0)
    plan = shop.plan(Change(import_=found.import_id))
    assert {item.product_id for item in shop.items(plan.plan_id)} == {first, new}
    assert ((plan.result or {})["created"], shop.sheets()) == (1, state)
    planned_prices = shop.planned(plan.plan_id)
    done = shop.apply(plan.plan_id)
    assert (done.status, done.redecided, shop.prices()) == ("applied", 0, planned_prices)
    assert (facts(shop, first).name, facts(shop, first).cost, facts(shop, new).name) == (
        "Renamed",
        Decimal(9),
        "Kettle",
    )
    undone = shop.undo(plan=plan.plan_id)
    assert shop.notes(undone) == {first: "restored", new: "deleted"}
    assert (shop.prices(), facts(shop, first)) == (before, old)


def test_a_planned_import_whose_product_was_written_since_is_refused(undo_shop: UndoShop, tmp_path: Path) -> None:
    shop = undo_shop
    [product_id] = shop.stock(1, category="toys")
    found = staged(shop, tmp_path / "file.csv", "product_id,base_price", f"{product_id},50.00")
    plan = shop.plan(Change(import_=found.import_id))
    shop.write(product(product_id, category="toys", name="A name"))
    with pytest.raises(StalePlan, match=product_id):
        shop.apply(plan.plan_id)


def test_a_plan_that_is_to_be_applied_is_applied_when_it_is_ready(undo_shop: UndoShop, tmp_path: Path) -> None:
    shop = undo_shop
    [product_id] = shop.stock(1)
    found = staged(shop, tmp_path / "file.csv", "product_id,base_price", f"{product_id},50.00")
    plan = shop.plan(Change(import_=found.import_id), applies=True)
    assert (plan.status, plan.applied_by) == ("applying", "shop")
    assert plan.apply_task_id is not None
    plans.apply(shop.services, plan.apply_task_id)
    assert (shop.view(plan.plan_id).status, facts(shop, product_id).base_price) == ("applied", Decimal(50))


def test_one_whose_products_are_written_meanwhile_waits_for_a_person(undo_shop: UndoShop, tmp_path: Path) -> None:
    shop = undo_shop
    [product_id] = shop.stock(1)
    found = staged(shop, tmp_path / "file.csv", "product_id,base_price", f"{product_id},50.00")
    made = shop.request(Change(import_=found.import_id), applies=True)
    shop.write(product(product_id, name="A name"))
    plans.make(shop.services, made.task_id)
    assert (shop.view(made.plan_id).status, facts(shop, product_id).base_price) == ("ready", Decimal(100))


def test_with_four_eyes_another_key_applies_an_import_and_the_trial_is_asked_first(
    undo_shop: UndoShop, tmp_path: Path
) -> None:
    shop = undo_shop
    ids = shop.stock(60)
    rows = [f"{product_id},30.00" for product_id in ids]
    found = staged(shop, tmp_path / "file.csv", "product_id,base_price", *rows, key_id=7)
    settings = replace(shop.services.settings, four_eyes=True)
    services: Any = SimpleNamespace(settings=settings, transaction=shop.services.pool.connection, enqueue=NoQueue())

    def apply(key_id: int, *, confirm: bool = False) -> PlanAccepted:
        caller: Any = SimpleNamespace(user=SimpleNamespace(id=key_id, name="erp"))
        accepted: PlanAccepted = cast(Any, apply_import.fn)(caller, services, found.import_id, confirm)
        return accepted

    with pytest.raises(Forbidden, match="another key"):
        apply(7)
    with pytest.raises(PlanFirst, match="about 60 of 60 products would move by more than 30 %"):
        apply(8)
    accepted = apply(8, confirm=True)
    assert (accepted.status, shop.view(accepted.plan_id).author) == ("queued", "erp")


def test_a_bad_row_or_an_unknown_import_is_refused(undo_shop: UndoShop, tmp_path: Path) -> None:
    [product_id] = undo_shop.stock(1)
    rows = ("product_id,base_price", f"{product_id},50.00", f"{product_id}-x,60.00")
    with pytest.raises(InvalidInput, match="line 3"):
        staged(undo_shop, tmp_path / "file.csv", *rows)
    found = staged(undo_shop, tmp_path / "file.csv", *rows, skip_bad=True)
    assert (found.changed, found.rejected) == (1, 1)
    with pytest.raises(InvalidInput) as refused:
        undo_shop.request(Change(import_=UUID(int=1)))
    assert refused.value.path == "$.changes[0].import"
