"""Signals: of each register the latest event wins, whatever order they come in."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.catalogue import products
from shared.market_events import signals
from shared.market_events.events import CompetitorPriceChanged, CostChanged, DemandChanged, EventData, StockChanged
from shared.market_events.signals import SignalUpdate
from shared.postgres.pools import Conn, Pool
from shared.rulebook.store import ActivePolicy
from tests.integration.catalogue_examples import NOON, new_id, product, write


def apply(conn: Conn, data: EventData, source: str, occurred_at: datetime, event_id: str) -> bool:
    """Apply one event; whether its register holds it now."""
    return bool(signals.apply(conn, [SignalUpdate.of(data, source, occurred_at, event_id)]))


# Few times and ids, so that they meet.
_registered = st.tuples(
    st.sampled_from([NOON + timedelta(seconds=seconds) for seconds in range(3)]), st.sampled_from(["a", "b", "c"])
)


@given(order=st.lists(_registered, min_size=1, max_size=6))
@settings(deadline=None, max_examples=60)
def test_the_latest_signal_wins_in_any_order(pool: Pool, order: list[tuple[datetime, str]]) -> None:
    """The later time, and of equal times the later call; each call says whether it is the one now."""
    with pool.connection() as conn:
        product_id = inserted(conn)
        seen: list[tuple[datetime, str]] = []
        for time, event_id in order:
            won = apply(conn, demand(product_id, time, event_id), "web", time, event_id)
            seen.append((time, event_id))
            assert won == (time == max(seen)[0])
        row = conn.execute(
            "SELECT occurred_at, event_id, value FROM signals WHERE product_id = %s", [product_id]
        ).fetchone()
        conn.rollback()
    latest = max(enumerate(seen), key=lambda one: (one[1][0], one[0]))[1]
    assert row
    assert (row["occurred_at"], row["event_id"]) == latest
    assert row["value"] == demand(product_id, *latest).index


def inserted(conn: Conn) -> str:
    [product_id] = products.upsert(conn, [product(new_id())])
    return product_id


def demand(product_id: str, time: datetime, event_id: str) -> DemandChanged:
    """An index that tells by which event it came."""
    index = Decimal(1 + time.second) + Decimal("abc".index(event_id)) / 10
    return DemandChanged(product_id=product_id, index=index)


def test_a_signal_that_was_applied_before_is_told_from_a_new_one(pool: Pool) -> None:
    with pool.connection() as conn:
        product_id = inserted(conn)
        first, new, later = (
            SignalUpdate.of(DemandChanged(product_id=product_id, index=Decimal("1.1")), source, time, "e")
            for source, time in (("web", NOON), ("shop", NOON), ("web", NOON + timedelta(seconds=1)))
        )
        signals.apply(conn, [first])
        assert signals.held(conn, [first, new]) == {first.register}
        assert signals.held(conn, [later]) == set()
        conn.rollback()


def test_registers_are_kept_by_rival_and_by_source(pool: Pool, policy: ActivePolicy) -> None:
    product_id = new_id()
    write(pool, policy, product(product_id))
    with pool.connection() as conn:
        for competitor, price in (("acme", "90.00"), ("globex", "95.00"), ("acme", "91.00")):
            event = CompetitorPriceChanged(
                product_id=product_id, competitor=competitor, price=Decimal(price), currency="USD"
            )  # fmt: skip
            assert apply(conn, event, "feed", NOON, "e")
        for source in ("web", "shop"):
            assert apply(conn, DemandChanged(product_id=product_id, index=Decimal("1.1")), source, NOON, "e")
        found = products.view(conn, product_id).signals
    assert [(s.kind, s.source, s.value) for s in found] == [
        ("competitor", "acme", Decimal("91.00")),
        ("competitor", "globex", Decimal("95.00")),
        ("demand", "shop", Decimal("1.1")),
        ("demand", "web", Decimal("1.1")),
    ]


def test_stock_and_cost_become_facts_of_the_product_unless_a_later_event_was_first(
    pool: Pool, policy: ActivePolicy
) -> None:
    product_id = new_id()
    write(pool, policy, product(product_id, stock=5, cost=Decimal("60.00")))
    now = datetime.now(UTC)
    earlier = now - timedelta(seconds=1)
    with pool.connection() as conn:
        assert apply(conn, StockChanged(product_id=product_id, stock=40), "s", now, "e")
        assert not apply(conn, StockChanged(product_id=product_id, stock=9), "other", earlier, "e")
        cost = CostChanged(product_id=product_id, cost=Decimal("61.00"), currency="USD")
        assert apply(conn, cost, "s", now, "e")
        found = products.view(conn, product_id).product
    assert (found.stock, found.cost) == (40, Decimal("61.00"))


def test_updates_of_several_products_are_applied_together(pool: Pool, policy: ActivePolicy) -> None:
    ids = [new_id() for _ in range(3)]
    write(pool, policy, *(product(product_id, stock=5) for product_id in ids))
    now = datetime.now(UTC)
    updates = [
        SignalUpdate.of(StockChanged(product_id=product_id, stock=number), "s", now, "e")
        for number, product_id in enumerate(ids)
    ]
    earlier = [SignalUpdate.of(StockChanged(product_id=ids[0], stock=9), "s", now - timedelta(seconds=1), "e")]
    with pool.connection() as conn:
        assert signals.apply(conn, updates) == {update.register for update in updates}
        assert signals.apply(conn, earlier) == set()
        assert [products.view(conn, product_id).product.stock for product_id in ids] == [0, 1, 2]
