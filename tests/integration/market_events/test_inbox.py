"""Market events in PostgreSQL: stored once, rung for by one, settled once; and signals, where the latest wins."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.catalogue import products
from shared.errors import AlreadyEnded, InvalidInput, NotFound
from shared.market_events import inbox, signals
from shared.market_events import views as event_views
from shared.market_events.events import CompetitorPriceChanged, CostChanged, DemandChanged, StockChanged
from shared.market_events.inbox import REDELIVER_AFTER_S, EventRecord, WaitingEvent
from shared.postgres.leases import MAX_CRASHES, QUARANTINED
from shared.postgres.pools import Conn, Pool
from shared.rulebook import store as rulebook
from shared.rulebook.store import ActivePolicy
from tests.integration.catalogue_examples import NOON, at_once, new_id, product, write

Making = Callable[..., EventRecord]


@pytest.fixture
def source() -> str:
    """A source of the test's own, by which its events are told from others'."""
    return f"source-{uuid4().hex[:8]}"


@pytest.fixture
def make(source: str) -> Making:
    def make(**fields: Any) -> EventRecord:
        known: dict[str, Any] = {"source": source, "id": new_id(), "type": "demand_changed", "occurred_at": NOON}
        return EventRecord(**{**known, "data": {"product_id": "P-1", "index": "1.1"}, "product_id": "P-1", **fields})

    return make


def record(pool: Pool, *records: EventRecord) -> set[tuple[str, str]]:
    with pool.connection() as conn:
        return inbox.record(conn, records)


def claim(pool: Pool, *keys: tuple[str, str]) -> list[WaitingEvent]:
    with pool.connection() as conn:
        return inbox.claim(conn, keys)


def waiting(pool: Pool, event: EventRecord) -> WaitingEvent:
    with pool.connection() as conn:
        [locked] = inbox.begin(conn, key=(event.source, event.id))
    return locked


def status(pool: Pool, event: EventRecord) -> str:
    with pool.connection() as conn:
        return event_views.view(conn, event.id, event.source).status


def test_an_event_is_stored_once(pool: Pool, make: Making) -> None:
    event, other = make(), make()
    assert record(pool, event) == {(event.source, event.id)}
    assert record(pool, event, other) == {(other.source, other.id)}
    assert record(pool, event) == set()


def test_the_same_id_of_another_source_is_another_event(pool: Pool, make: Making) -> None:
    event = make()
    twin = make(id=event.id, source=f"{event.source}-2")
    assert len(record(pool, event, twin)) == 2


def test_events_recorded_at_once_are_new_to_one_recorder_only(pool: Pool, make: Making) -> None:
    batch = [make() for _ in range(50)]
    known = at_once([lambda: record(pool, *batch), lambda: record(pool, *batch), lambda: record(pool, *batch)])
    assert sorted(key for keys in known for key in keys) == sorted((event.source, event.id) for event in batch)


def test_what_was_recorded_is_what_is_shown(pool: Pool, make: Making) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    event = make(traceparent=f"00-{trace}-b7ad6b7169203331-01")
    record(pool, event)
    with pool.connection() as conn:
        view = event_views.view(conn, event.id, event.source)
        assert event_views.view(conn, event.id, None) == view
        with pytest.raises(NotFound):
            event_views.view(conn, event.id, "somebody else")
    assert (view.event_id, view.type, view.status, view.attempts) == (event.id, event.type, "received", 0)
    assert (view.trace_id, view.data, view.applied_at, view.reason) == (trace, event.data, None, None)


def test_a_rejected_event_is_kept_with_its_reason_and_never_rung_for(pool: Pool, make: Making) -> None:
    event = make(reason="no such thing", raw="a\0b", data={"x": "a\0b"})
    record(pool, event)
    assert claim(pool, (event.source, event.id)) == []
    with pool.connection() as conn:
        view = event_views.view(conn, event.id, None)
    assert (view.status, view.reason) == ("rejected", "no such thing")
    assert view.applied_at is not None


def test_an_event_is_given_to_one_of_those_who_claim_it_at_once(pool: Pool, make: Making) -> None:
    event = make()
    record(pool, event)
    key = (event.source, event.id)
    claimed = at_once([lambda: claim(pool, key)] * 4)
    assert sorted(map(len, claimed)) == [0, 0, 0, 1]


def test_a_claimed_event_is_not_given_again_until_its_time_is_up(pool: Pool, make: Making) -> None:
    event = make()
    record(pool, event)
    key = (event.source, event.id)
    assert [claimed.key for claimed in claim(pool, key)] == [key]
    assert claim(pool, key) == []
    with pool.connection() as conn:
        conn.execute(
            "UPDATE market_events SET enqueued_at = enqueued_at - make_interval(secs => %s) WHERE id = %s",
            [REDELIVER_AFTER_S + 1, event.id],
        )
    assert [claimed.key for claimed in claim(pool, key)] == [key]


def test_a_released_event_is_given_again_at_once(pool: Pool, make: Making) -> None:
    event = make()
    record(pool, event)
    claimed = claim(pool, (event.source, event.id))
    with pool.connection() as conn:
        inbox.release(conn, claimed)
    assert claim(pool, (event.source, event.id)) == claimed


def test_claiming_is_bounded_and_the_oldest_come_first(pool: Pool, make: Making, source: str) -> None:
    old, new = make(), make()
    record(pool, old)
    record(pool, new)
    keys = [(source, new.id), (source, old.id)]
    with pool.connection() as conn:
        [first] = inbox.claim(conn, keys, limit=1)
    assert first.id == old.id
    assert [event.id for event in claim(pool, *keys)] == [new.id]


def test_a_claim_of_no_keys_is_no_claim_of_all(pool: Pool, make: Making) -> None:
    record(pool, make())
    assert claim(pool) == []


def test_the_sweep_finds_what_waits_without_knowing_its_keys(pool: Pool, make: Making) -> None:
    event = make()
    record(pool, event)
    with pool.connection() as conn:
        found = inbox.claim(conn)
        assert (event.source, event.id) in {claimed.key for claimed in found}
        conn.rollback()


def test_the_waiting_events_of_a_product_come_in_the_order_of_their_time(pool: Pool, make: Making) -> None:
    product_id = new_id()
    later = make(product_id=product_id, occurred_at=NOON + timedelta(seconds=1), id=f"{product_id}-0")
    first = make(product_id=product_id, id=f"{product_id}-1")
    second = make(product_id=product_id, id=f"{product_id}-2")
    record(pool, later, second, first, make(product_id=new_id()))
    with pool.connection() as conn:
        found = inbox.begin(conn, product_id=product_id)
    assert [event.id for event in found] == [first.id, second.id, later.id]


def test_each_look_counts_as_an_attempt(pool: Pool, make: Making) -> None:
    event = make()
    record(pool, event)
    waiting(pool, event)
    waiting(pool, event)
    with pool.connection() as conn:
        assert event_views.view(conn, event.id, event.source).attempts == 2


@pytest.mark.parametrize("outcome", ["applied", "superseded", "rejected", "failed"])
def test_an_outcome_becomes_the_status_when_it_is_settled(pool: Pool, make: Making, outcome: str) -> None:
    event, task_id = make(), uuid4()
    record(pool, event)
    locked = waiting(pool, event)
    with pool.connection() as conn:
        inbox.decide(conn, locked, outcome, reason="why", version=7, task_id=task_id)
    assert status(pool, event) == "received"
    assert waiting(pool, event).outcome == outcome
    with pool.connection() as conn:
        inbox.settle(conn, [locked])
        view = event_views.view(conn, event.id, event.source)
    assert (view.status, view.reason, view.version, view.task_id) == (outcome, "why", 7, task_id)
    assert view.applied_at is not None


def test_what_is_not_decided_is_not_settled(pool: Pool, make: Making) -> None:
    event = make()
    record(pool, event)
    with pool.connection() as conn:
        inbox.settle(conn, inbox.begin(conn, key=(event.source, event.id)))
    assert status(pool, event) == "received"


def test_a_settled_event_stays_as_it_is(pool: Pool, make: Making) -> None:
    event = make()
    record(pool, event)
    locked = waiting(pool, event)
    with pool.connection() as conn:
        inbox.decide(conn, locked, "applied", version=2)
        inbox.settle(conn, [locked])
    with pool.connection() as conn:
        before = event_views.view(conn, event.id, event.source)
        inbox.decide(conn, locked, "failed", reason="too late")
        inbox.settle(conn, [locked])
        assert inbox.fail_waiting(conn, "too late", key=locked.key) == 0
        assert event_views.view(conn, event.id, event.source) == before
    assert claim(pool, locked.key) == []


def test_giving_up_fails_everything_that_waits_for_a_product(pool: Pool, make: Making) -> None:
    product_id = new_id()
    batch = [make(product_id=product_id) for _ in range(3)]
    bystander = make(product_id=new_id())
    record(pool, *batch, bystander)
    with pool.connection() as conn:
        assert inbox.fail_waiting(conn, "ValueError: no", product_id=product_id) == 3
    assert {status(pool, event) for event in batch} == {"failed"}
    assert status(pool, bystander) == "received"
    with pool.connection() as conn:
        assert event_views.view(conn, batch[0].id, None).reason == "ValueError: no"


# Few times and ids, so that they meet.
_registered = st.tuples(
    st.sampled_from([NOON + timedelta(seconds=seconds) for seconds in range(3)]), st.sampled_from(["a", "b", "c"])
)


@given(order=st.lists(_registered, min_size=1, max_size=6))
@settings(deadline=None, max_examples=60)
def test_the_latest_signal_wins_in_any_order(pool: Pool, order: list[tuple[datetime, str]]) -> None:
    """The later (time, id), and each call says whether it is the one now; the same again is no change."""
    with pool.connection() as conn:
        product_id = inserted(conn)
        seen: list[tuple[datetime, str]] = []
        for time, event_id in order:
            won = signals.apply(conn, demand(product_id, time, event_id), "web", time, event_id)
            seen.append((time, event_id))
            assert won == ((time, event_id) == max(seen))
        row = conn.execute(
            "SELECT occurred_at, event_id, value FROM signals WHERE product_id = %s", [product_id]
        ).fetchone()
        conn.rollback()
    assert row
    assert (row["occurred_at"], row["event_id"]) == max(seen)
    assert row["value"] == demand(product_id, *max(seen)).index


def inserted(conn: Conn) -> str:
    [product_id] = products.upsert(conn, [product(new_id())])
    return product_id


def demand(product_id: str, time: datetime, event_id: str) -> DemandChanged:
    """An index that tells by which event it came."""
    index = Decimal(1 + time.second) + Decimal("abc".index(event_id)) / 10
    return DemandChanged(product_id=product_id, index=index)


def test_registers_are_kept_by_rival_and_by_source(pool: Pool, policy: ActivePolicy) -> None:
    product_id = new_id()
    write(pool, policy, product(product_id))
    with pool.connection() as conn:
        for competitor, price in (("acme", "90.00"), ("globex", "95.00"), ("acme", "91.00")):
            event = CompetitorPriceChanged(
                product_id=product_id, competitor=competitor, price=Decimal(price), currency="USD"
            )  # fmt: skip
            assert signals.apply(conn, event, "feed", NOON, "e")
        for source in ("web", "shop"):
            assert signals.apply(conn, DemandChanged(product_id=product_id, index=Decimal("1.1")), source, NOON, "e")
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
    earlier = NOON - timedelta(seconds=1)
    with pool.connection() as conn:
        assert signals.apply(conn, StockChanged(product_id=product_id, stock=40), "s", NOON, "e")
        assert not signals.apply(conn, StockChanged(product_id=product_id, stock=9), "other", earlier, "e")
        cost = CostChanged(product_id=product_id, cost=Decimal("61.00"), currency="USD")
        assert signals.apply(conn, cost, "s", NOON, "e")
        found = products.view(conn, product_id).product
    assert (found.stock, found.cost) == (40, Decimal("61.00"))


def test_a_cost_in_another_currency_is_refused(pool: Pool, policy: ActivePolicy) -> None:
    product_id = new_id()
    write(pool, policy, product(product_id, cost=Decimal("60.00")))
    with pool.connection() as conn, pytest.raises(InvalidInput) as refused:
        signals.apply(conn, CostChanged(product_id=product_id, cost=Decimal(1), currency="EUR"), "s", NOON, "e")
    assert refused.value.path == "$.data.currency"


def test_an_event_of_a_market_is_found_by_its_market(pool: Pool, make: Making) -> None:
    market = new_id()
    event = make(type="market_changed", product_id=None, market=market, data={"market": market, "multiplier": "1.1"})
    record(pool, event)
    with pool.connection() as conn:
        [found] = inbox.begin(conn, market=market)
    assert found.market == market
    assert found.occurred_at == NOON.astimezone(UTC)


def test_there_is_one_active_policy(pool: Pool, policy: ActivePolicy) -> None:
    with pool.connection() as conn:
        assert rulebook.active(conn) == policy


def test_an_event_knows_the_task_that_it_made(pool: Pool, make: Making) -> None:
    event, task_id = make(product_id=None), UUID(int=1)
    record(pool, event)
    with pool.connection() as conn:
        inbox.decide(conn, inbox.begin(conn, key=(event.source, event.id))[0], "applied", task_id=task_id)
        assert event_views.view(conn, event.id, None).task_id == task_id


def crashes(pool: Pool, event: EventRecord, times: int) -> None:
    """As many workers begin with the event and are killed."""
    for _ in range(times):
        waiting(pool, event)


def test_an_event_whose_worker_was_killed_three_times_is_quarantined(pool: Pool, make: Making) -> None:
    event = make()
    record(pool, event)
    crashes(pool, event, MAX_CRASHES)
    with pool.connection() as conn:
        assert inbox.begin(conn, key=(event.source, event.id)) == []
        view = event_views.view(conn, event.id, event.source)
    assert view.status == "failed"
    assert view.reason
    assert view.reason.startswith(QUARANTINED)


def test_a_suspect_is_tried_alone_and_takes_no_others_with_it(pool: Pool, make: Making) -> None:
    product_id = new_id()
    killer, innocent = make(product_id=product_id), make(product_id=product_id)
    record(pool, killer)
    crashes(pool, killer, MAX_CRASHES - 1)
    record(pool, innocent)
    with pool.connection() as conn:
        assert [event.id for event in inbox.begin(conn, product_id=product_id)] == [killer.id]
    with pool.connection() as conn:
        assert [event.id for event in inbox.begin(conn, product_id=product_id)] == [innocent.id]
    assert (status(pool, killer), status(pool, innocent)) == ("failed", "received")


def test_an_attempt_that_ends_in_order_is_no_kill(pool: Pool, make: Making) -> None:
    event = make()
    record(pool, event)
    for _ in range(2 * MAX_CRASHES):
        begun = waiting(pool, event)
        with pool.connection() as conn:
            inbox.release_attempt(conn, [begun])
    assert status(pool, event) == "received"


def test_what_was_settled_meanwhile_is_not_locked_again(pool: Pool, make: Making) -> None:
    event = make()
    record(pool, event)
    begun = waiting(pool, event)
    with pool.connection() as conn:
        assert [one.id for one in inbox.lock(conn, [begun])] == [event.id]
        inbox.decide(conn, begun, "applied")
        inbox.settle(conn, [begun])
    with pool.connection() as conn:
        assert inbox.lock(conn, [begun]) == []


@pytest.mark.parametrize("end", ["rejected", "failed"])
def test_what_was_given_up_is_replayed(pool: Pool, make: Making, end: str) -> None:
    product_id = new_id()
    event = make(product_id=product_id, data={"product_id": product_id, "index": "1.1"})
    record(pool, event)
    begun = waiting(pool, event)
    with pool.connection() as conn:
        inbox.decide_all(conn, [begun], end, reason="why", traceback="where")
        inbox.settle(conn, [begun])
        assert event_views.traceback_of(conn, event.id, None) == "where"
        event_views.replay(conn, event.id, None)
        view = event_views.view(conn, event.id, None)
    assert (view.status, view.reason) == ("received", None)
    assert [claimed.product_id for claimed in claim(pool, (event.source, event.id))] == [product_id]


def test_only_what_was_given_up_is_replayed(pool: Pool, make: Making) -> None:
    event = make()
    record(pool, event)
    with pool.connection() as conn:
        with pytest.raises(AlreadyEnded, match="received"):
            event_views.replay(conn, event.id, None)
        with pytest.raises(NotFound):
            event_views.replay(conn, new_id(), None)


def test_what_still_is_no_event_is_not_replayed(pool: Pool, make: Making) -> None:
    unknown = make(type="weather_changed", product_id=None, reason="unknown event type")
    record(pool, unknown)
    with pytest.raises(InvalidInput), pool.connection() as conn:
        event_views.replay(conn, unknown.id, None)
    assert status(pool, unknown) == "rejected"


def test_events_are_listed_by_status(pool: Pool, make: Making) -> None:
    event, rejected = make(), make(reason="no such thing")
    record(pool, event, rejected)
    with pool.connection() as conn:
        found = {one.id: one for one in event_views.listed(conn, ["rejected"], 100)}
        assert event_views.counts(conn)["rejected"] >= 1
    assert event.id not in found
    assert found[rejected.id].reason == "no such thing"
