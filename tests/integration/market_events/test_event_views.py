"""Market events as operators see them, and what was given up, replayed."""

import pytest

from shared.catalogue.product_set import ProductSet
from shared.errors import AlreadyEnded, InvalidInput, NotFound
from shared.jobs import views as task_views
from shared.market_events import views as event_views
from shared.postgres.pools import Pool
from tests.integration.catalogue_examples import new_id
from tests.integration.market_events.conftest import Making, Queue


@pytest.mark.parametrize("end", ["rejected", "failed"])
def test_an_event_that_was_given_up_is_replayed(queue: Queue, pool: Pool, make: Making, end: str) -> None:
    event = make()
    queue.record(event)
    lease, events = queue.started(str(event.target))
    queue.complete(lease, *events, status=end)
    queue.after(1, str(event.target))
    with pool.connection() as conn:
        event_views.replay(conn, event.id, None)
        view = event_views.view(conn, event.id, None)
    assert (view.status, view.reason, view.applied_at) == ("received", None, None)
    assert [due.target for due in queue.take(str(event.target))] == [event.target]


def test_a_request_that_was_rejected_becomes_a_task_when_it_is_replayed(queue: Queue, pool: Pool, make: Making) -> None:
    event = make(type="recalculation_requested", data={"category": "toys"}, product_id=None, reason="no such thing")
    queue.record(event)
    with pool.connection() as conn:
        event_views.replay(conn, event.id, None)
        view = event_views.view(conn, event.id, None)
        assert view.task_id
        task = task_views.view(conn, view.task_id)
    assert (view.status, task.product_set) == ("applied", ProductSet(categories=("toys",)))


def test_a_message_that_was_no_event_is_replayed_under_its_own_id(queue: Queue, pool: Pool, make: Making) -> None:
    product_id, event_id = new_id(), new_id()
    raw = (
        f'{{"specversion": "1.0", "id": "{event_id}", "source": "s", "type": "demand_changed",'
        f' "data": {{"product_id": "{product_id}", "index": "1.1"}}}}'
    )
    unreadable = make(type="unreadable", product_id=None, data={}, reason="no JSON", raw=raw)
    queue.record(unreadable)
    with pool.connection() as conn:
        event_views.replay(conn, unreadable.id, None)
        assert event_views.view(conn, event_id, "s").status == "received"
        assert event_views.view(conn, unreadable.id, None).status == "rejected"
    assert [due.target for due in queue.take(product_id)] == [product_id]


def test_only_an_event_that_was_given_up_is_replayed(queue: Queue, pool: Pool, make: Making) -> None:
    event = make()
    queue.record(event)
    with pool.connection() as conn:
        with pytest.raises(AlreadyEnded, match="received"):
            event_views.replay(conn, event.id, None)
        with pytest.raises(NotFound):
            event_views.replay(conn, new_id(), None)


def test_an_event_that_still_is_none_is_not_replayed(queue: Queue, pool: Pool, make: Making) -> None:
    unknown = make(type="weather_changed", product_id=None, reason="unknown event type")
    queue.record(unknown)
    with pytest.raises(InvalidInput), pool.connection() as conn:
        event_views.replay(conn, unknown.id, None)
    with pool.connection() as conn:
        assert event_views.view(conn, unknown.id, None).status == "rejected"


def test_events_are_listed_by_status(queue: Queue, pool: Pool, make: Making) -> None:
    event, rejected = make(), make(reason="no such thing")
    queue.record(event, rejected)
    with pool.connection() as conn:
        found = {one.id: one for one in event_views.listed(conn, ["rejected"], 100)}
        assert event_views.counts(conn)["rejected"] >= 1
    assert event.id not in found
    assert found[rejected.id].reason == "no such thing"
