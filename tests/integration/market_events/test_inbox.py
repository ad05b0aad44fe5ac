"""Market events in PostgreSQL: recorded once, read by the holder of their target, completed once."""

from datetime import UTC, timedelta

import pytest

from shared.catalogue.product_set import ProductSet
from shared.errors import NotFound
from shared.jobs import views as task_views
from shared.market_events import inbox
from shared.market_events import views as event_views
from shared.market_events.records import EventRecord
from shared.market_events.views import EventView
from shared.postgres.leases import LEASE_S, MAX_CRASHES, QUARANTINED
from shared.postgres.pools import Pool
from tests.integration.catalogue_examples import NOON, at_once, new_id
from tests.integration.market_events.conftest import Making, Queue


def view(pool: Pool, event: EventRecord) -> EventView:
    with pool.connection() as conn:
        return event_views.view(conn, event.id, event.source)


def crash(queue: Queue, target: str, times: int) -> None:
    """As many workers begin with the target, and never end."""
    for _ in range(times):
        queue.started(target)
        queue.after(LEASE_S, target)


def test_an_event_is_stored_once(queue: Queue, make: Making) -> None:
    event, other = make(), make()
    assert queue.record(event) == {event.key}
    assert queue.record(event, other) == {other.key}
    assert queue.record(event) == set()


def test_an_event_that_is_stored_already_makes_nothing_due(queue: Queue, make: Making) -> None:
    event = make()
    queue.record(event)
    lease, events = queue.started(str(event.target))
    queue.complete(lease, *events)
    queue.record(event)
    queue.after(60, str(event.target))
    assert queue.take(str(event.target)) == []


def test_the_same_id_of_another_source_is_another_event(queue: Queue, make: Making) -> None:
    event = make()
    twin = make(id=event.id, source=f"{event.source}-2")
    assert len(queue.record(event, twin)) == 2


def test_events_recorded_at_once_are_new_to_one_recorder_only(queue: Queue, make: Making) -> None:
    batch = [make(product_id=f"P-{number % 7}") for number in range(50)]
    mixed = batch[::-1]
    known = at_once([lambda: queue.record(*batch), lambda: queue.record(*mixed), lambda: queue.record(*batch)])
    assert sorted(key for keys in known for key in keys) == sorted(event.key for event in batch)


def test_an_event_is_shown_as_it_was_recorded(queue: Queue, pool: Pool, make: Making) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    event = make(traceparent=f"00-{trace}-b7ad6b7169203331-01")
    queue.record(event)
    shown = view(pool, event)
    with pool.connection() as conn:
        assert event_views.view(conn, event.id, None) == shown
        with pytest.raises(NotFound):
            event_views.view(conn, event.id, "another source")
    assert (shown.event_id, shown.type, shown.status, shown.attempts) == (event.id, event.type, "received", 0)
    assert (shown.trace_id, shown.data, shown.applied_at, shown.reason) == (trace, event.data, None, None)


def test_a_rejected_event_is_kept_with_its_reason_and_makes_nothing_due(queue: Queue, pool: Pool, make: Making) -> None:
    product_id = new_id()
    event = make(product_id=product_id, reason="no such thing", raw="a\0b", data={"x": "a\0b"})
    queue.record(event)
    assert queue.take(product_id) == []
    shown = view(pool, event)
    assert (shown.status, shown.reason) == ("rejected", "no such thing")
    assert shown.applied_at is not None


def test_a_requested_recalculation_is_a_task_at_once_and_only_once(queue: Queue, pool: Pool, make: Making) -> None:
    wanted = ProductSet(categories=("grocery",))
    event = make(type="recalculation_requested", data={}, product_id=None, product_set=wanted)
    at_once([lambda: queue.record(event)] * 3)
    shown = view(pool, event)
    assert (shown.status, shown.task_id) == ("applied", event.task_id)
    assert shown.task_id
    with pool.connection() as conn:
        task = task_views.view(conn, shown.task_id)
    assert (task.kind, task.status, task.product_set) == ("recalculation", "queued", wanted)


def test_the_waiting_events_of_a_product_come_in_the_order_of_their_time(queue: Queue, make: Making) -> None:
    product_id = new_id()
    later = make(product_id=product_id, occurred_at=NOON + timedelta(seconds=1), id=f"{product_id}-0")
    first = make(product_id=product_id, id=f"{product_id}-1")
    second = make(product_id=product_id, id=f"{product_id}-2")
    queue.record(later, second, first, make())
    _, found = queue.started(product_id)
    assert [event.id for event in found] == [second.id, first.id, later.id]


def test_the_events_of_several_products_are_read_together(queue: Queue, pool: Pool, make: Making) -> None:
    events = [make(), make(), make()]
    queue.record(*events)
    with pool.connection() as conn:
        leases = queue.begin(*(str(event.target) for event in events))
        found = inbox.waiting(conn, leases)
    assert {target: [each.id for each in of_target] for target, of_target in found.items()} == {
        event.target: [event.id] for event in events
    }


def test_an_event_of_a_market_is_found_by_its_market(queue: Queue, make: Making) -> None:
    market = new_id()
    event = make(type="market_changed", product_id=None, market=market, data={"market": market, "multiplier": "1.1"})
    queue.record(event)
    _, [found] = queue.started(f"#{market}")
    assert (found.id, found.occurred_at) == (event.id, NOON.astimezone(UTC))


def test_each_start_counts_as_an_attempt(queue: Queue, pool: Pool, make: Making) -> None:
    event = make()
    queue.record(event)
    for _ in range(2):
        lease, events = queue.started(str(event.target))
        queue.release(lease)
    assert view(pool, event).attempts == 2
    lease, events = queue.started(str(event.target))
    queue.complete(lease, *events)
    assert view(pool, event).attempts == 3


@pytest.mark.parametrize("status", ["applied", "superseded", "rejected", "failed"])
def test_a_completed_event_has_its_outcome(queue: Queue, pool: Pool, make: Making, status: str) -> None:
    event = make()
    queue.record(event)
    lease, events = queue.started(str(event.target))
    assert queue.complete(lease, *events, status=status) == [event.id]
    shown = view(pool, event)
    assert (shown.status, shown.reason, shown.version) == (status, "why", 7)
    assert shown.applied_at is not None


def test_a_completed_event_stays_as_it_is(queue: Queue, pool: Pool, make: Making) -> None:
    event = make()
    queue.record(event)
    lease, events = queue.started(str(event.target))
    queue.complete(lease, *events)
    before = view(pool, event)
    assert queue.complete(lease, *events, status="failed") == []
    with pool.connection() as conn:
        assert inbox.fail_waiting(conn, str(event.target), "too late") == 0
    assert view(pool, event) == before


def test_a_worker_that_lost_its_lease_completes_nothing(queue: Queue, pool: Pool, make: Making) -> None:
    event = make()
    queue.record(event)
    lost, events = queue.started(str(event.target))
    queue.after(LEASE_S, str(event.target))
    lease, _ = queue.started(str(event.target))
    assert queue.complete(lost, *events, status="failed") == []
    assert view(pool, event).status == "received"
    assert queue.complete(lease, *events) == [event.id]


def test_giving_up_fails_everything_that_waits_for_a_product(queue: Queue, pool: Pool, make: Making) -> None:
    product_id = new_id()
    batch = [make(product_id=product_id) for _ in range(3)]
    bystander = make()
    queue.record(*batch, bystander)
    queue.release(queue.started(product_id)[0])
    with pool.connection() as conn:
        assert inbox.fail_waiting(conn, product_id, "ValueError: no", "where") == 3
        assert event_views.traceback_of(conn, batch[0].id, None) == "where"
    assert {(view(pool, event).status, view(pool, event).attempts) for event in batch} == {("failed", 1)}
    assert view(pool, batch[0]).reason == "ValueError: no"
    assert view(pool, bystander).status == "received"


def test_an_event_that_crashed_its_worker_three_times_is_quarantined(queue: Queue, pool: Pool, make: Making) -> None:
    event = make()
    queue.record(event)
    target = str(event.target)
    crash(queue, target, MAX_CRASHES)
    lease, events = queue.started(target)
    assert events == []
    queue.complete(lease)
    shown = view(pool, event)
    assert (shown.status, shown.attempts) == ("failed", MAX_CRASHES)
    assert str(shown.reason).startswith(QUARANTINED)


def test_a_suspect_is_tried_alone_and_takes_no_others_with_it(queue: Queue, pool: Pool, make: Making) -> None:
    product_id = new_id()
    poison = make(product_id=product_id)
    queue.record(poison)
    crash(queue, product_id, MAX_CRASHES - 1)
    innocent = make(product_id=product_id)
    queue.record(innocent)
    _, events = queue.started(product_id)
    assert [event.id for event in events] == [poison.id]
    queue.after(LEASE_S, product_id)
    lease, events = queue.started(product_id)
    assert [event.id for event in events] == [innocent.id]
    queue.complete(lease, *events)
    assert (view(pool, poison).status, view(pool, innocent).status) == ("failed", "applied")


def test_the_events_behind_a_suspect_are_due_and_end_the_suspicion(queue: Queue, make: Making) -> None:
    product_id = new_id()
    events = [make(product_id=product_id) for _ in range(3)]
    queue.record(*events)
    crash(queue, product_id, MAX_CRASHES - 1)
    tried = []
    for _ in events:
        lease, found = queue.started(product_id)
        tried += [event.id for event in found]
        queue.complete(lease, *found)
        queue.after(1, product_id)
    assert sorted(tried) == sorted(event.id for event in events)
    assert queue.take(product_id) == []
    later = [make(product_id=product_id) for _ in range(2)]
    queue.record(*later)
    assert len(queue.started(product_id)[1]) == 2


def test_events_beyond_one_attempt_stay_due(queue: Queue, make: Making, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "MOST_AT_ONCE", 2)
    product_id = new_id()
    queue.record(*(make(product_id=product_id) for _ in range(3)))
    lease, events = queue.started(product_id)
    assert len(events) == 2
    queue.complete(lease, *events)
    queue.after(1, product_id)
    assert [due.target for due in queue.take(product_id)] == [product_id]
