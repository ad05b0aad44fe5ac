"""A person pauses automation, and sets prices by hand: the rules wait, and go on when both have ended."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import msgspec
import pytest

from shared.catalogue import products
from shared.catalogue.products import ManualPriceView
from shared.errors import InvalidInput, NotFound
from shared.postgres.pools import Pool
from shared.prices import manual_prices, pauses, published, states
from shared.prices.pauses import PauseView, Reach
from shared.pricing.state import ManualPrice
from shared.rulebook.store import ActivePolicy
from tests.integration.catalogue_examples import add_competitor, new_id, product, task_cause, write


@pytest.fixture
def product_id(pool: Pool, policy: ActivePolicy) -> str:
    """A product of 100.00 USD, with a cost of 60.00, whose price follows its competitors."""
    product_id = new_id()
    write(pool, policy, product(product_id, cost=Decimal(60)))
    return product_id


def offered(pool: Pool, policy: ActivePolicy, product_id: str, price: str) -> str:
    with pool.connection() as conn:
        add_competitor(conn, product_id, price)
        published.reprice(conn, [product_id], policy, task_cause())
    return current(pool, product_id)


def current(pool: Pool, product_id: str) -> str:
    with pool.connection() as conn:
        [row] = conn.execute("SELECT published_price FROM prices WHERE product_id = %s", [product_id]).fetchall()
        return str(row["published_price"])


def manual(pool: Pool, product_id: str, price: str | None, *, below: bool = False) -> str:
    wanted = ManualPrice(price=Decimal(price), reason="a clearance", below_floor=below) if price else None
    with pool.connection() as conn:
        manual_prices.put(conn, product_id, wanted, str(uuid4()))
    return current(pool, product_id)


@pytest.mark.parametrize("by", ["product", "category"])
def test_while_automation_is_paused_prices_stay_and_then_go_on(
    pool: Pool, policy: ActivePolicy, product_id: str, by: str
) -> None:
    reach = Reach(product_ids=(product_id,)) if by == "product" else Reach(category="electronics")
    with pool.connection() as conn:
        pauses.pause(conn, reach, "stocktaking", "shop", None)
    try:
        assert offered(pool, policy, product_id, "90.00") == "100.00"
        write(pool, policy, product(product_id, cost=Decimal(60), strategy="list_price", base_price=Decimal(95)))
        assert current(pool, product_id) == "95.00"
        write(pool, policy, product(product_id, cost=Decimal(60)))
        assert current(pool, product_id) == "90.00"  # a person's write: its target is the market's
        assert offered(pool, policy, product_id, "85.00") == "90.00"
    finally:
        with pool.connection() as conn:
            assert pauses.resume(conn, reach) == 1
    assert offered(pool, policy, product_id, "85.00") == "85.00"


def test_pauses_in_force_are_listed_page_by_page_and_ended_ones_are_not(pool: Pool, product_id: str) -> None:
    mine = (new_id(), new_id(), new_id())
    later = datetime.now(UTC) + timedelta(hours=1)
    with pool.connection() as conn:
        pauses.pause(conn, Reach(product_ids=mine), "stocktaking", "shop", later)
        pauses.pause(conn, Reach(category=product_id), "a clearance", "boss", None)
        conn.execute("UPDATE pauses SET until = clock_timestamp() WHERE product_id = %s", [mine[0]])
        found: list[PauseView] = []
        while page := pauses.page(conn, 1, (found[-1].since, found[-1].pause_id) if found else None):
            found += page
        conn.rollback()
    listed = [(one.product_id, one.category, one.reason, one.author, one.until) for one in found]
    assert sorted(listed[:2], key=str) == sorted(
        ((each, None, "stocktaking", "shop", later) for each in mine[1:]), key=str
    )
    assert listed[2:] == [(None, product_id, "a clearance", "boss", None)]


def test_a_pause_ends_by_its_clock_and_its_products_are_due_then(
    pool: Pool, policy: ActivePolicy, product_id: str
) -> None:
    until = datetime.now(UTC) + timedelta(hours=1)
    with pool.connection() as conn:
        pauses.pause(conn, Reach(product_ids=(product_id,)), "stocktaking", "shop", until)
    assert offered(pool, policy, product_id, "90.00") == "100.00"
    with pool.connection() as conn:
        [row] = conn.execute("SELECT next_due FROM prices WHERE product_id = %s", [product_id]).fetchall()
        conn.execute("UPDATE pauses SET until = clock_timestamp() WHERE product_id = %s", [product_id])
    assert row["next_due"] == until
    assert offered(pool, policy, product_id, "90.00") == "90.00"


def test_a_manual_price_is_published_at_once_and_automation_leaves_it(
    pool: Pool, policy: ActivePolicy, product_id: str
) -> None:
    assert manual(pool, product_id, "70.00") == "70.00"
    assert offered(pool, policy, product_id, "90.00") == "70.00"
    write(pool, policy, product(product_id, cost=Decimal(60), name="Another"))
    assert current(pool, product_id) == "70.00"
    assert manual(pool, product_id, None) == "84.00"  # one step towards 90.00


def test_a_manual_price_keeps_the_floor_unless_it_says_otherwise(pool: Pool, product_id: str) -> None:
    assert manual(pool, product_id, "20.00") == "63.00"
    assert manual(pool, product_id, "20.00", below=True) == "20.00"


def test_a_product_shows_its_manual_price_while_it_is_in_force(pool: Pool, product_id: str) -> None:
    def shown() -> ManualPriceView | None:
        with pool.connection() as conn:
            return products.view(conn, product_id).manual_price

    assert shown() is None
    manual(pool, product_id, "70.00")
    assert shown() == ManualPriceView(Decimal("70.00"), "a clearance", None, below_floor=False)
    manual(pool, product_id, None)
    assert shown() is None
    with pool.connection() as conn:
        over = ManualPrice(price=Decimal(71), reason="a day", until=datetime.now(UTC) - timedelta(seconds=1))
        manual_prices.put(conn, product_id, over, str(uuid4()))
        states.set_manual(conn, product_id, msgspec.json.encode(over).decode())
    assert shown() is None


def test_a_manual_price_may_have_the_decimals_of_its_product(pool: Pool, policy: ActivePolicy) -> None:
    product_id = new_id()
    write(pool, policy, product(product_id, base_price=Decimal("1.7995"), price_decimals=4))
    assert manual(pool, product_id, "1.7495") == "1.7495"
    with pytest.raises(InvalidInput, match="at most 4 decimals"):
        manual(pool, product_id, "1.74951")


def test_a_manual_price_that_is_no_amount_or_has_no_product_is_refused(pool: Pool, product_id: str) -> None:
    with pytest.raises(InvalidInput):
        manual(pool, product_id, "1.005")
    with pytest.raises(NotFound):
        manual(pool, new_id(), "20.00")
