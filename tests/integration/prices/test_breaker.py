"""The breaker: a feed that prices everything at a cent moves few products, and a person lets automation go on."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from shared.errors import AlreadyEnded
from shared.postgres.pools import Conn, Pool
from shared.prices import breaker, holds, published
from shared.prices.holds import HoldFilter
from shared.pricing.policy import Breaker, Policy
from shared.rulebook.store import ActivePolicy
from tests.integration.catalogue_examples import add_competitor, at_once, new_id, product, task_cause, write

LIMIT = 10


@pytest.fixture(autouse=True)
def closed(pool: Pool) -> Iterator[None]:
    """The breaker is closed and has counted nothing, before a test and after it."""
    _close(pool)
    yield
    _close(pool)


def _close(pool: Pool) -> None:
    with pool.connection() as conn:
        conn.execute("UPDATE breaker SET is_open = false")
        conn.execute("DELETE FROM breaker_moves")


def rules(policy: ActivePolicy, **fields: Any) -> ActivePolicy:
    """The shipped policy without outliers, and a breaker of ten products."""
    strategies = {
        name: msgspec.structs.replace(
            one, competitor=one.competitor and msgspec.structs.replace(one.competitor, within=None)
        )
        for name, one in policy.policy.strategies.items()
    }
    of: dict[str, Any] = {"breaker": Breaker(share=Decimal(0), min_products=LIMIT), "strategies": strategies}
    changed: Policy = msgspec.structs.replace(policy.policy, **of | fields)
    return msgspec.structs.replace(policy, policy=changed)


def shelf(pool: Pool, policy: ActivePolicy, count: int) -> list[str]:
    """Products of 100.00 USD that have had their price for two hours."""
    ids = [new_id() for _ in range(count)]
    write(pool, policy, *(product(product_id) for product_id in ids))
    with pool.connection() as conn:
        for row in conn.execute("SELECT product_id, state FROM prices WHERE product_id = ANY(%s)", [ids]).fetchall():
            state = msgspec.json.decode(row["state"])
            state["past"][0][0] = "2026-01-01T00:00:00Z"
            conn.execute(
                "UPDATE prices SET state = %s WHERE product_id = %s",
                [msgspec.json.encode(state).decode(), row["product_id"]],
            )
    return ids


def offered(conn: Conn, product_ids: list[str], price: str) -> None:
    for product_id in product_ids:
        add_competitor(conn, product_id, price)


def moved(pool: Pool, product_ids: list[str]) -> int:
    with pool.connection() as conn:
        query = "SELECT count(*) AS n FROM prices WHERE product_id = ANY(%s) AND published_price <> 100"
        [row] = conn.execute(query, [product_ids]).fetchall()
        return int(row["n"])


def test_the_feed_of_one_cent_stops_automation_before_more_than_the_limit_moved(
    pool: Pool, policy: ActivePolicy
) -> None:
    strict = rules(policy)
    ids = shelf(pool, strict, 60)
    with pool.connection() as conn:
        offered(conn, ids, "0.01")

    def decide(batch: list[str]) -> None:
        with pool.connection() as conn:
            published.reprice(conn, batch, strict, task_cause())

    # Batches of several workers at the same time: none passes the limit together with another one.
    batches = [ids[start : start + 4] for start in range(0, 60, 4)]
    for start in range(0, 15, 5):
        at_once([lambda batch=batch: decide(batch) for batch in batches[start : start + 5]])  # type: ignore[misc] # bound at once
    with pool.connection() as conn:
        view = breaker.view(conn, strict.policy.breaker)
        open_holds = holds.page(conn, "open", HoldFilter(code="breaker"), 100, None)
    assert (view.is_open, view.limit) == (True, LIMIT)
    assert 0 < moved(pool, ids) <= LIMIT
    assert len([one for one in open_holds if one.product_id in ids]) == 60 - moved(pool, ids)


def test_while_it_is_open_a_person_still_writes_and_after_the_reset_automation_goes_on(
    pool: Pool, policy: ActivePolicy
) -> None:
    strict = rules(policy)
    [mine] = shelf(pool, strict, 1)
    with pool.connection() as conn:
        conn.execute("UPDATE breaker SET is_open = true")
        offered(conn, [mine], "90.00")
        published.reprice(conn, [mine], strict, task_cause())
    assert moved(pool, [mine]) == 0
    write(pool, strict, product(mine, base_price=Decimal(80), strategy="list_price"))
    assert moved(pool, [mine]) == 1
    with pool.connection() as conn:
        breaker.reset(conn, "the feed is corrected", "shop")
        assert not breaker.is_open(conn)
        with pytest.raises(AlreadyEnded):
            breaker.reset(conn, "again", "shop")


def test_a_share_of_1_counts_and_never_opens(pool: Pool, policy: ActivePolicy) -> None:
    counting = rules(policy, breaker=Breaker(share=Decimal(1), min_products=0))
    ids = shelf(pool, counting, 12)
    with pool.connection() as conn:
        offered(conn, ids, "0.01")
        published.reprice(conn, ids, counting, task_cause())
        view = breaker.view(conn, counting.policy.breaker)
    assert (view.is_open, view.moved, moved(pool, ids)) == (False, 12, 12)
