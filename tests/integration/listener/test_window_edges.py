"""An edge of a window starts one recalculation of the products that it reaches."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace

from listener.change_clock import ChangeClock
from shared.postgres import clock, pools
from shared.postgres.pools import Pool
from shared.pricing.rulebook import PriceList, Promotion, Rulebook
from shared.rulebook import store
from shared.rulebook.store import By
from shared.settings import Settings
from tests.integration.listener.conftest import Queues


@pytest.fixture
def shop(migrated_database: Callable[[], Settings]) -> Iterator[Pool]:
    settings = migrated_database()
    with pools.pool(settings, "tests", size=2) as pool:
        with pool.connection() as conn:
            store.ensure_default(conn)
        yield pool


def promote(pool: Pool, *minutes: tuple[float, float]) -> None:
    """Promotions that open and close so many minutes from now."""
    with pool.connection() as conn:
        now = clock.now(conn)

    def written(opens: float, closes: float) -> Promotion:
        edges = [(now + timedelta(minutes=each)).isoformat() for each in (opens, closes)]
        return Promotion(id=f"p{abs(opens):g}", percent=Decimal(10), from_=edges[0], until=edges[1])

    def change(held: Rulebook) -> Rulebook:
        return replace(held, promotions=tuple(written(*each) for each in minutes))

    with pool.connection() as conn:
        store.change(conn, change, By("tests", "tests"))


def started(pool: Pool) -> int:
    with pool.connection() as conn:
        [row] = conn.execute("SELECT count(*) AS n FROM tasks WHERE kind = 'recalculation'").fetchall()
    return int(row["n"])


def test_each_public_edge_starts_one_recalculation(shop: Pool) -> None:
    promote(shop, (-60, 60), (-30, -10), (5, 60), (-600, 60))
    with shop.connection() as conn:
        conn.execute("UPDATE change_log SET edges_until = clock_timestamp() - interval '2 hours'")
    ChangeClock(shop, Queues(), lambda: True).turn()
    assert started(shop) == 3
    ChangeClock(shop, Queues(), lambda: True).turn()
    assert started(shop) == 3, "another listener goes on where the first one ended"


def test_an_edge_of_a_list_concerns_the_products_with_entries_for_everybody(shop: Pool) -> None:
    with shop.connection() as conn:
        opens = (clock.now(conn) - timedelta(minutes=5)).isoformat()
        sale = PriceList(id="sale", kind="sale", from_=opens, revision=2)
        store.change(conn, lambda held: replace(held, price_lists=(sale,)), By("tests", "tests"))
        entries = [(2, "P-1", ""), (2, "P-2", "c-17"), (1, "P-3", "")]
        conn.cursor().executemany(
            "INSERT INTO price_list_entries (list_id, revision, product_id, customer_id, ordinal, document) "
            "VALUES ('sale', %s, %s, %s, 1, '{}')",
            entries,
        )
        conn.execute("UPDATE change_log SET edges_until = clock_timestamp() - interval '1 hour'")
    ChangeClock(shop, Queues(), lambda: True).turn()
    with shop.connection() as conn:
        [task] = conn.execute("SELECT product_set FROM tasks WHERE kind = 'recalculation'").fetchall()
    assert task["product_set"] == {"product_ids": ["P-1"]}
