"""A target is decided at once, then at most once a second, and no event is forgotten, whatever dies."""

from collections.abc import Callable

import pytest

from shared.errors import LeaseLost
from shared.postgres.leases import LEASE_S
from shared.postgres.pools import Pool
from shared.prices import repricing_queue
from shared.prices.repricing_queue import INTERVAL_S, REDELIVER_AFTER_S
from tests.integration.catalogue_examples import at_once, new_id
from tests.integration.market_events.conftest import Making, Queue


@pytest.fixture
def target(queue: Queue, make: Making) -> str:
    """A product with an event that waits."""
    event = make()
    queue.record(event)
    assert event.product_id
    return event.product_id


def test_the_first_event_makes_its_target_due_at_once(queue: Queue, target: str) -> None:
    assert [due.target for due in queue.take(target)] == [target]


def test_a_target_is_taken_by_one_of_several_listeners(queue: Queue, target: str) -> None:
    taken = at_once([lambda: queue.take(target)] * 4)
    assert sum(map(len, taken)) == 1


def test_a_target_is_held_by_one_of_several_workers(queue: Queue, target: str) -> None:
    begun = at_once([lambda: queue.begin(target)] * 4)
    assert sum(map(len, begun)) == 1


def test_further_events_enqueue_no_further_message(queue: Queue, target: str, make: Making) -> None:
    queue.take(target)
    queue.record(*(make(product_id=target) for _ in range(3)))
    assert queue.take(target) == []


def test_an_event_within_a_second_of_a_decision_is_due_after_it(queue: Queue, target: str, make: Making) -> None:
    lease, events = queue.started(target)
    queue.complete(lease, *events)
    # Longer ahead than this test takes.
    queue.after(-60, target)
    queue.record(make(product_id=target))
    assert queue.take(target) == []
    assert queue.begin(target) == []
    queue.after(60 + INTERVAL_S, target)
    assert [due.target for due in queue.take(target)] == [target]
    assert queue.begin(target)


def test_an_event_long_after_a_decision_is_due_at_once(queue: Queue, target: str, make: Making) -> None:
    lease, events = queue.started(target)
    queue.complete(lease, *events)
    queue.after(INTERVAL_S, target)
    queue.record(make(product_id=target))
    assert [due.target for due in queue.take(target)] == [target]


def test_after_a_completion_nothing_is_due(queue: Queue, target: str) -> None:
    lease, events = queue.started(target)
    queue.complete(lease, *events)
    queue.after(LEASE_S + REDELIVER_AFTER_S, target)
    assert queue.take(target) == []


def test_a_message_that_no_worker_takes_is_sent_again(queue: Queue, target: str) -> None:
    queue.take(target)
    queue.after(REDELIVER_AFTER_S, target)
    assert [due.target for due in queue.take(target)] == [target]


def test_a_target_that_could_not_be_enqueued_is_due_at_once(queue: Queue, target: str) -> None:
    queue.take(target)
    with queue.pool.connection() as conn:
        repricing_queue.not_enqueued(conn, [target])
    assert [due.target for due in queue.take(target)] == [target]


def test_an_event_that_comes_while_a_worker_holds_its_target_is_due_after_the_completion(
    queue: Queue, target: str, make: Making
) -> None:
    lease, events = queue.started(target)
    late = make(product_id=target)
    queue.record(late)
    queue.complete(lease, *events)
    queue.after(INTERVAL_S, target)
    assert [due.target for due in queue.take(target)] == [target]
    assert [event.id for event in queue.started(target)[1]] == [late.id]


def test_an_event_is_not_forgotten_where_its_message_met_a_target_that_is_held(
    queue: Queue, target: str, make: Making
) -> None:
    lease, events = queue.started(target)
    queue.record(make(product_id=target))
    queue.after(INTERVAL_S, target)
    assert queue.take(target)
    assert queue.begin(target) == []
    queue.complete(lease, *events)
    queue.after(INTERVAL_S, target)
    assert [due.target for due in queue.take(target)] == [target]


def test_an_event_that_comes_after_the_lease_is_not_forgotten_by_a_late_completion(
    queue: Queue, target: str, make: Making
) -> None:
    lease, events = queue.started(target)
    queue.after(LEASE_S + 1, target)
    queue.record(make(product_id=target))
    queue.complete(lease, *events)
    queue.after(INTERVAL_S, target)
    assert [due.target for due in queue.take(target)] == [target]


def test_a_product_that_is_created_while_a_worker_finds_none_is_due_again(
    queue: Queue, pool: Pool, target: str
) -> None:
    lease, _ = queue.started(target)
    with pool.connection() as conn:
        repricing_queue.wake(conn, [target])
    assert queue.begin(target) == []
    queue.complete(lease)
    queue.after(INTERVAL_S, target)
    assert [due.target for due in queue.take(target)] == [target]


def test_a_worker_that_crashed_is_followed_by_another_one(queue: Queue, target: str) -> None:
    queue.begin(target)
    assert queue.begin(target) == []
    queue.after(LEASE_S, target)
    assert [(due.target, due.crashes) for due in queue.take(target)] == [(target, 1)]
    assert queue.begin(target)


def test_an_attempt_that_ends_in_order_is_no_crash_and_is_tried_again_at_once(queue: Queue, target: str) -> None:
    for attempt in range(1, 6):
        lease, _ = queue.started(target)
        assert (lease.attempts, lease.crashes) == (attempt, 1)
        queue.release(lease)
    assert queue.take(target) == []
    queue.after(REDELIVER_AFTER_S, target)
    assert queue.take(target)


def test_a_worker_that_lost_its_lease_may_not_commit(queue: Queue, pool: Pool, target: str) -> None:
    lease, _ = queue.started(target)
    with pool.connection() as conn:
        repricing_queue.hold(conn, [lease])
    queue.after(LEASE_S, target)
    with pool.connection() as conn, pytest.raises(LeaseLost):
        repricing_queue.hold(conn, [lease])
    taken_over, _ = queue.started(target)
    with pool.connection() as conn, pytest.raises(LeaseLost):
        repricing_queue.hold(conn, [lease])
    # Nor release the target that another worker holds.
    queue.release(lease)
    with pool.connection() as conn:
        repricing_queue.hold(conn, [taken_over])


def test_targets_that_are_due_later_are_not_taken(queue: Queue, pool: Pool) -> None:
    target = new_id()
    with pool.connection() as conn:
        conn.execute(
            "INSERT INTO repricing_queue (target, due_at) VALUES (%s, clock_timestamp() + interval '1 hour')", [target]
        )
        taken = repricing_queue.take_due(conn, limit=100_000)
        conn.rollback()
    assert target not in {due.target for due in taken}
    assert queue.take(target) == []


@pytest.mark.parametrize("step", [repricing_queue.take_due, repricing_queue.begin])
def test_only_a_step_that_a_crash_may_undo_does_not_wait_for_the_disk(step: Callable[..., object], pool: Pool) -> None:
    target, waits = new_id(), []
    with pool.connection() as conn:
        repricing_queue.make_due(conn, [target])
        conn.commit()
        with conn.transaction():
            assert step(conn, [target])
            waits += conn.execute("SHOW synchronous_commit").fetchall()
        waits += conn.execute("SHOW synchronous_commit").fetchall()
    assert [row["synchronous_commit"] for row in waits] == ["off", "on"]


def test_the_sweep_reads_only_targets_that_are_due(pool: Pool) -> None:
    """With as many targets that are due later as one likes, the plan is a bounded scan of the index."""
    with pool.connection() as conn:
        conn.execute(
            "INSERT INTO repricing_queue (target, due_at)"
            " SELECT 'later-' || n, clock_timestamp() + interval '1 hour' FROM generate_series(1, 20000) n"
        )
        conn.execute("ANALYZE repricing_queue")
        plan = conn.execute(
            "EXPLAIN (FORMAT TEXT) SELECT target FROM repricing_queue"
            " WHERE due_at <= statement_timestamp() ORDER BY due_at LIMIT 1000"
        ).fetchall()
        conn.rollback()
    lines = [row["QUERY PLAN"].strip() for row in plan]
    assert any("Index" in line and "due_targets" in line for line in lines), lines
    assert any(line.startswith("Index Cond: (due_at <=") for line in lines), lines
