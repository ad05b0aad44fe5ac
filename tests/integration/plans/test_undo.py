"""Undo of a run: prices go back to the last ones before it, unless a person wrote them since."""

import threading
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner

from shared.commands.undo import undo_command
from shared.errors import NotFound
from shared.plans.changes import Change
from shared.pricing.rulebook import Promotion
from tests.integration.catalogue_examples import add_competitor, product
from tests.integration.plans.shop import Shop
from tests.integration.plans.undo_shop import UndoShop
from tests.support.waiting import eventually
from workers.jobs import plans


@pytest.fixture
def undo_shop(shop: Shop) -> UndoShop:
    return UndoShop(shop.services)


def signal(shop: UndoShop, product_id: str, price: str) -> None:
    """A competitor's price that no decision has read yet."""
    with shop.services.pool.connection() as conn:
        add_competitor(conn, product_id, price)


def test_a_run_is_undone_and_automation_paused_where_a_signal_still_asks_for_its_price(undo_shop: UndoShop) -> None:
    shop = undo_shop
    ids = shop.ids(3)
    shop.write(*(product(product_id) for product_id in ids))
    signal(shop, ids[0], "95.00")
    before = shop.prices()
    run = shop.run()
    after = shop.prices()
    assert after[ids[0]] != before[ids[0]]
    plan = shop.plan_undo(run=run)
    assert (plan.undo, (plan.result or {})["undo"]) == ({"run": str(run)}, {"paused": 1})
    assert shop.prices() == after
    shop.apply(plan.plan_id)
    assert shop.prices() == before
    assert shop.paused() == {ids[0]}
    shop.run()
    assert shop.prices() == before


def test_twice_is_once(undo_shop: UndoShop) -> None:
    shop = undo_shop
    [product_id] = shop.ids(1)
    shop.write(product(product_id))
    signal(shop, product_id, "95.00")
    run = shop.run()
    shop.undo(run=run)
    state = shop.sheets()
    assert (shop.undo(run=run).result or {})["undo"] == {}
    assert shop.sheets() == state


def test_a_product_that_a_person_wrote_since_is_left_and_listed(undo_shop: UndoShop) -> None:
    shop = undo_shop
    ids = shop.ids(2)
    shop.write(*(product(product_id) for product_id in ids))
    for product_id in ids:
        signal(shop, product_id, "95.00")
    run = shop.run()
    shop.write(product(ids[1], base_price=Decimal(70)))
    price = shop.price(ids[1])
    plan = shop.undo(run=run)
    assert shop.notes(plan) == {ids[0]: "paused", ids[1]: "left"}
    assert (shop.price(ids[0]), shop.price(ids[1])) == (Decimal(100), price)


def test_automation_after_the_run_is_undone_with_it(undo_shop: UndoShop) -> None:
    shop = undo_shop
    [product_id] = shop.ids(1)
    shop.write(product(product_id))
    signal(shop, product_id, "95.00")
    run = shop.run()
    shop.competitor(product_id, "90.00")
    shop.undo(run=run)
    assert shop.price(product_id) == Decimal(100)


def test_an_undo_that_is_undone_by_its_run_leaves_the_price_of_the_run_before(undo_shop: UndoShop) -> None:
    shop = undo_shop
    [product_id] = shop.ids(1)
    shop.write(product(product_id))
    signal(shop, product_id, "95.00")
    first = shop.run()
    middle = shop.price(product_id)
    with shop.services.pool.connection() as conn:
        conn.execute("DELETE FROM signals")
    second = shop.run()
    assert len({Decimal(100), middle, shop.price(product_id)}) == 2
    shop.undo(run=second)
    assert shop.price(product_id) == middle
    shop.undo(run=first)
    assert shop.price(product_id) == Decimal(100)


def test_an_unknown_run_is_refused(undo_shop: UndoShop) -> None:
    with pytest.raises(NotFound):
        undo_shop.plan_undo(run=uuid4())


def test_the_command_refuses_more_than_one_subject(undo_shop: UndoShop) -> None:
    settings = undo_shop.services.settings
    both = ["--run", str(uuid4()), "--since", "2026-01-01T00:00"]
    for arguments, said in (
        ([], "exactly one of --run, --event"),
        (both, "exactly one of --run, --event"),
        (["--run", str(uuid4()), "--source", "shop"], "--source belongs to --event"),
        (["--since", "yesterday"], "'yesterday' is no instant"),
    ):
        done = CliRunner().invoke(undo_command, arguments, obj=settings)
        assert (done.exit_code, said in done.stderr) == (2, True), done.stderr


def test_the_command_plans_and_applies(undo_shop: UndoShop) -> None:
    shop = undo_shop
    [product_id] = shop.ids(1)
    shop.write(product(product_id))
    signal(shop, product_id, "95.00")
    run = shop.run()

    def work() -> None:
        """As a worker that finds the command's tasks."""
        plans.make(shop.services, eventually(lambda: waiting(shop, "plan"), "a plan waits"))
        plans.apply(shop.services, eventually(lambda: waiting(shop, "apply"), "an application waits"))

    worker = threading.Thread(target=work)
    worker.start()
    result = CliRunner().invoke(undo_command, ["--run", str(run), "--apply"], obj=shop.services.settings)
    worker.join(timeout=60)
    assert (result.exit_code, shop.price(product_id)) == (0, Decimal(100)), result.output
    assert "1 paused" in result.output


def waiting(shop: UndoShop, kind: str) -> UUID | None:
    """A task that no worker has taken."""
    with shop.services.pool.connection() as conn:
        row = conn.execute("SELECT task_id FROM tasks WHERE kind = %s AND status = 'queued'", [kind]).fetchone()
    return None if row is None else row["task_id"]


def test_the_command_shows_what_the_undo_of_a_promotion_moves_and_that_nothing_is_done_yet(undo_shop: UndoShop) -> None:
    shop = undo_shop
    shop.stock(1)
    plan = shop.apply(shop.plan(Change(promotion=Promotion(id="sale", percent=Decimal(10)))).plan_id)

    def shown() -> str:
        worker = threading.Thread(
            target=lambda: plans.make(shop.services, eventually(lambda: waiting(shop, "plan"), "a plan waits"))
        )
        worker.start()
        result = CliRunner().invoke(undo_command, ["--plan", str(plan.plan_id)], obj=shop.services.settings)
        worker.join(timeout=60)
        assert result.exit_code == 0, result.output
        return result.output

    said = shown()
    assert "1 public price moved, 1 rule taken back" in said
    assert "nothing is taken back yet; to do it: just apply" in said
    shop.undo(plan=plan.plan_id)
    assert "nothing is left to undo" in shown()
