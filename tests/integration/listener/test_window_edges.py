"""An edge of a window starts one recalculation of the products that it reaches."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace

from listener.window_edges import WindowEdges
from shared.postgres import clock, migrations, pools
from shared.postgres.pools import Pool
from shared.pricing.rulebook import Promotion, Rulebook
from shared.rulebook import store
from shared.rulebook.store import By
from shared.settings import Settings


@pytest.fixture
def shop(new_database: Callable[[], Settings]) -> Iterator[Pool]:
    settings = new_database()
    migrations.migrate(settings)
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


def test_each_edge_starts_one_recalculation_whoever_sees_it(shop: Pool) -> None:
    promote(shop, (-60, 60), (-30, -10), (5, 60))
    edges = WindowEdges(shop)
    assert edges.pass_due() == 3
    assert edges.pass_due() == 0
    assert WindowEdges(shop).pass_due() == 3, "after a restart they are seen again"
    assert started(shop) == 3


def test_an_edge_in_the_past_of_a_new_rulebook_is_no_business_of_the_clock(shop: Pool) -> None:
    edges = WindowEdges(shop)
    assert edges.pass_due() == 0
    promote(shop, (-60, 60))
    assert edges.pass_due() == 0, "the write has started its own recalculation"
