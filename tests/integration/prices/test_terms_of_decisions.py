"""Decisions read promotions and exchange rates: automation pauses, and offers in other currencies count."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from shared.postgres import pools
from shared.postgres.pools import Pool
from shared.prices import inputs, published
from shared.pricing.rulebook import AppliesTo, Promotion, Rulebook
from shared.rulebook import store as rulebook
from shared.rulebook import values
from shared.rulebook.store import By
from shared.rulebook.values import NewValue
from shared.settings import Settings
from tests.integration.catalogue_examples import add_competitor, new_id, product, task_cause, write

BY = By("tests", "tests")
NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="module")
def own_pool(migrated_database: Callable[[], Settings]) -> Iterator[Pool]:
    settings = migrated_database()
    with pools.pool(settings, "tests", size=2) as pool:
        with pool.connection() as conn:
            rulebook.ensure_default(conn)
        yield pool


@pytest.fixture
def product_id(own_pool: Pool) -> str:
    """A product of 100.00 USD, whose price follows its competitors."""
    product_id = new_id()
    with own_pool.connection() as conn:
        policy = rulebook.active_policy(conn)
    write(own_pool, policy, product(product_id))
    return product_id


def rules(pool: Pool, promotions: tuple[Promotion, ...] = (), **policy: Any) -> None:
    def change(held: Rulebook) -> Rulebook:
        fields = {"convert": False, "pause_in_promotion": False} | policy
        return replace(held, promotions=promotions, policy=replace(held.policy, **fields))

    with pool.connection() as conn:
        rulebook.change(conn, change, BY)


def decided(pool: Pool, product_id: str) -> tuple[str, datetime | None]:
    """The published price after another decision, and when the product is due."""
    with pool.connection() as conn:
        published.reprice(conn, [product_id], rulebook.active_policy(conn), task_cause())
        [row] = conn.execute(
            "SELECT published_price AS price, next_due FROM prices WHERE product_id = %s", [product_id]
        )
    return str(row["price"]), row["next_due"]


def promotion(*, closes: float, opens: float = -1, **fields: Any) -> Promotion:
    edges = [(NOW + timedelta(hours=hours)).isoformat() for hours in (opens, closes)]
    return Promotion(id=f"p{closes:g}", percent=Decimal(10), from_=edges[0], until=edges[1], **fields)


def test_automation_waits_while_a_promotion_is_open_and_is_due_when_the_last_one_closes(
    own_pool: Pool, product_id: str
) -> None:
    mine = AppliesTo(products=(product_id,))
    rules(own_pool, (promotion(closes=2, applies_to=mine), promotion(closes=5)), pause_in_promotion=True)
    with own_pool.connection() as conn:
        add_competitor(conn, product_id, "90.00")
    assert decided(own_pool, product_id) == ("100.00", NOW + timedelta(hours=5))
    with own_pool.connection() as conn:
        policy = rulebook.active_policy(conn)
    write(own_pool, policy, product(product_id, base_price=Decimal(105), strategy="list_price"))
    assert decided(own_pool, product_id)[0] == "105.00", "a person's write is published"
    write(own_pool, policy, product(product_id, base_price=Decimal(105), strategy="list_price", name="Other"))
    write(own_pool, policy, product(product_id))
    assert decided(own_pool, product_id)[0] == "90.00"
    with own_pool.connection() as conn:
        add_competitor(conn, product_id, "85.00")
    assert decided(own_pool, product_id)[0] == "90.00"
    rules(own_pool, (promotion(closes=5),))
    assert decided(own_pool, product_id)[0] == "85.00"


def test_another_products_promotion_or_one_that_is_not_open_pauses_nothing(own_pool: Pool, product_id: str) -> None:
    others = promotion(closes=5, applies_to=AppliesTo(products=("P-OTHER",)))
    rules(own_pool, (others, promotion(opens=1000, closes=1001)), pause_in_promotion=True)
    with own_pool.connection() as conn:
        add_competitor(conn, product_id, "90.00")
    assert decided(own_pool, product_id)[0] == "90.00"


def test_an_offer_in_another_currency_counts_at_the_rate_in_force(own_pool: Pool, product_id: str) -> None:
    follows = NOW + timedelta(hours=3)
    with own_pool.connection() as conn:
        add_competitor(conn, product_id, "80.00", currency="EUR")
        rates = [
            NewValue("exchange_rate", "EUR/USD", Decimal("1.1")),
            NewValue("exchange_rate", "EUR/USD", Decimal("1.2"), follows),
        ]
        for rate in rates:
            values.add(conn, [rate], BY)
    rules(own_pool)
    assert decided(own_pool, product_id)[0] == "100.00"
    with own_pool.connection() as conn:
        assert not inputs.are_converted(conn)
    rules(own_pool, convert=True)
    assert decided(own_pool, product_id) == ("88.00", follows)
    with own_pool.connection() as conn:
        assert inputs.are_converted(conn)
        values.add(conn, [NewValue("exchange_rate", "EUR/USD", Decimal("1.15"))], BY)
    assert decided(own_pool, product_id)[0] == "92.00"
    with own_pool.connection() as conn:
        conn.execute("DELETE FROM signals WHERE product_id = %s", [product_id])
