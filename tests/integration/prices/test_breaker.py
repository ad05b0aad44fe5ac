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
from shared.prices.new_versions import Cause
from shared.pricing.policy import Breaker, Policy
from shared.rulebook.store import ActivePolicy
from tests.integration.catalogue_examples import add_competitor, at_once, new_id, product, task_cause, write

LIMIT = 10


@pytest.fixture(autouse=True)
def closed(pool: Pool) -> Iterator[None]:
    """The breaker is closed, has counted nothing and holds nothing, before a test and after it."""
    _close(pool)
    yield
    _close(pool)


def _close(pool: Pool) -> None:
    with pool.connection() as conn:
        conn.execute("UPDATE breaker SET is_open = false")
        conn.execute("DELETE FROM breaker_moves")
        conn.execute("DELETE FROM holds WHERE code = 'breaker'")


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
        let_time_pass(conn, ids)
    return ids


def let_time_pass(conn: Conn, product_ids: list[str]) -> None:
    """As if these products had had their prices for months."""
    query = "SELECT product_id, state FROM prices WHERE product_id = ANY(%s)"
    for row in conn.execute(query, [product_ids]).fetchall():
        state = msgspec.json.decode(row["state"])
        state["past"] = [[f"2026-01-{day:02}T00:00:00Z", price] for day, (_, price) in enumerate(state["past"], 1)]
        conn.execute(
            "UPDATE prices SET state = %s WHERE product_id = %s",
            [msgspec.json.encode(state).decode(), row["product_id"]],
        )


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


def test_offers_that_expire_together_open_it_though_the_way_back_to_the_list_price_is_never_held(
    pool: Pool, policy: ActivePolicy
) -> None:
    strict = rules(policy)
    ids = shelf(pool, strict, 30)
    with pool.connection() as conn:
        offered(conn, ids, "60.00")
        publish = dict.fromkeys(ids, Decimal(60))
        published.publish(conn, publish, {each: Cause("approval", "test") for each in ids}, strict)
        let_time_pass(conn, ids)  # and then all offers are over
        conn.execute("UPDATE signals SET expires_at = clock_timestamp() WHERE product_id = ANY(%s)", [ids])
        conn.execute("UPDATE prices SET next_due = clock_timestamp() WHERE product_id = ANY(%s)", [ids])
    causes: dict[str, Cause | None] = dict.fromkeys(ids)
    for start in range(0, 30, 4):
        with pool.connection() as conn:
            published.reprice_each(conn, {each: causes[each] for each in ids[start : start + 4]}, strict)
    with pool.connection() as conn:
        assert breaker.is_open(conn)
        query = "SELECT count(*) AS n FROM prices WHERE product_id = ANY(%s) AND published_price <> 60"
        [row] = conn.execute(query, [ids]).fetchall()
        assert 0 < row["n"] <= LIMIT


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


def held(pool: Pool, policy: ActivePolicy, product_id: str, price: str) -> None:
    """The open breaker holds the target of a product."""
    with pool.connection() as conn:
        conn.execute("UPDATE breaker SET is_open = true")
        offered(conn, [product_id], price)
        published.reprice(conn, [product_id], policy, task_cause())


def is_due(conn: Conn, product_id: str) -> bool:
    query = "SELECT FROM repricing_queue WHERE target = %s AND due_at <= clock_timestamp()"
    return bool(conn.execute(query, [product_id]).rowcount)


def code_of(conn: Conn, product_id: str) -> list[str]:
    return [hold.code for hold in holds.page(conn, "open", HoldFilter(product_id=product_id), 9, None)]


@pytest.mark.parametrize(("price", "codes", "count"), [("90.00", [], 1), ("40.00", ["hold_above"], 0)])
def test_after_the_reset_what_the_breaker_held_is_due_and_decided_again(
    pool: Pool, policy: ActivePolicy, price: str, codes: list[str], count: int
) -> None:
    wide = rules(policy, max_step=Decimal(1), hold_above=Decimal("0.4"))
    [mine] = shelf(pool, wide, 1)
    held(pool, wide, mine, price)
    with pool.connection() as conn:
        assert (is_due(conn, mine), code_of(conn, mine)) == (False, ["breaker"])
        published.reprice_each(conn, {mine: None}, wide)
        assert code_of(conn, mine) == ["breaker"]
        assert breaker.reset(conn, "the feed is corrected", "shop")
        assert is_due(conn, mine)
        assert published.reprice_each(conn, {mine: None}, wide).by_clock == 1
        assert code_of(conn, mine) == codes
    assert moved(pool, [mine]) == count


def test_a_reset_leaves_holds_of_other_reasons_as_they_are(pool: Pool, policy: ActivePolicy) -> None:
    careful = rules(policy, hold_above=Decimal("0.05"))
    [mine] = shelf(pool, careful, 1)
    with pool.connection() as conn:
        offered(conn, [mine], "90.00")
        published.reprice(conn, [mine], careful, task_cause())
        conn.execute("UPDATE breaker SET is_open = true")
        breaker.reset(conn, "the feed is corrected", "shop")
        assert (is_due(conn, mine), code_of(conn, mine)) == (False, ["hold_above"])


def test_a_decision_that_began_before_a_reset_holds_nothing_any_more(
    pool: Pool, policy: ActivePolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    [mine] = shelf(pool, rules(policy), 1)
    monkeypatch.setattr(breaker, "is_open", lambda _: True)  # as it was read at the beginning
    with pool.connection() as conn:
        offered(conn, [mine], "90.00")
        published.reprice(conn, [mine], rules(policy), task_cause())
        assert code_of(conn, mine) == []
    assert moved(pool, [mine]) == 1


def test_more_than_a_reset_makes_due_by_itself_are_left_to_a_recalculation(
    pool: Pool, policy: ActivePolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "MOST_DUE", 1)
    ids = shelf(pool, rules(policy), 2)
    for each in ids:
        held(pool, rules(policy), each, "90.00")
    with pool.connection() as conn:
        assert not breaker.reset(conn, "the feed is corrected", "shop")
        assert [is_due(conn, each) for each in ids].count(True) == 1


def test_a_share_of_1_counts_and_never_opens(pool: Pool, policy: ActivePolicy) -> None:
    counting = rules(policy, breaker=Breaker(share=Decimal(1), min_products=0))
    ids = shelf(pool, counting, 12)
    with pool.connection() as conn:
        offered(conn, ids, "0.01")
        published.reprice(conn, ids, counting, task_cause())
        view = breaker.view(conn, counting.policy.breaker)
    assert (view.is_open, view.moved, moved(pool, ids)) == (False, 12, 12)
