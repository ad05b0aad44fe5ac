"""A product's events are decided at once, then at most once a second, and the last one is not forgotten."""

import pytest

from shared.market_events import repricing_queue
from shared.postgres.leases import LEASE_S
from shared.postgres.pools import Pool
from tests.integration.catalogue_examples import at_once, new_id


class Pace:
    """The pace of one product, each call in a transaction of its own."""

    def __init__(self, pool: Pool) -> None:
        self._pool, self.target = pool, new_id()

    def is_to_ring(self) -> bool:
        with self._pool.connection() as conn:
            return self.target in repricing_queue.to_ring(conn, [self.target])

    def begin(self) -> bool:
        with self._pool.connection() as conn:
            if repricing_queue.begin(conn, self.target):
                repricing_queue.decided(conn, self.target)
                return True
            return False

    def end(self) -> None:
        with self._pool.connection() as conn:
            repricing_queue.end(conn, self.target)

    def is_due(self) -> bool:
        with self._pool.connection() as conn:
            return self.target in repricing_queue.take_due(conn)

    def after(self, seconds: float) -> None:
        """As if this much time had gone by."""
        with self._pool.connection() as conn:
            conn.execute(
                "UPDATE repricing_queue SET decided_at = decided_at - make_interval(secs => %(s)s),"
                " lease_until = lease_until - make_interval(secs => %(s)s),"
                " due_at = due_at - make_interval(secs => %(s)s) WHERE target = %(target)s",
                {"s": seconds, "target": self.target},
            )


@pytest.fixture
def pace(pool: Pool) -> Pace:
    return Pace(pool)


def test_the_first_event_is_rung_for_at_once_and_those_that_follow_it_are_not(pace: Pace) -> None:
    assert pace.is_to_ring()
    assert not pace.is_to_ring()


def test_one_of_several_listeners_rings(pace: Pace) -> None:
    assert sum(at_once([pace.is_to_ring] * 4)) == 1


def test_one_of_several_workers_begins(pace: Pace) -> None:
    assert sum(at_once([pace.begin] * 4)) == 1


def test_what_comes_within_a_second_of_a_decision_is_due_after_it(pace: Pace, monkeypatch: pytest.MonkeyPatch) -> None:
    # Longer than this test takes.
    monkeypatch.setattr(repricing_queue, "INTERVAL_S", 60)
    pace.is_to_ring()
    assert pace.begin()
    pace.end()
    assert not pace.is_to_ring()
    assert not pace.begin()
    assert not pace.is_due()
    pace.after(repricing_queue.INTERVAL_S)
    assert pace.is_due()
    assert not pace.is_due()
    assert pace.begin()


def test_what_comes_later_is_rung_for_at_once(pace: Pace) -> None:
    pace.is_to_ring()
    pace.begin()
    pace.end()
    pace.after(repricing_queue.INTERVAL_S)
    assert pace.is_to_ring()
    assert pace.begin()


def test_a_ring_that_nobody_answers_is_repeated(pace: Pace) -> None:
    pace.is_to_ring()
    pace.after(repricing_queue.REDELIVER_AFTER_S)
    assert pace.is_due()


def test_a_ring_that_failed_is_due_at_once(pace: Pace, pool: Pool) -> None:
    pace.is_to_ring()
    with pool.connection() as conn:
        repricing_queue.not_rung(conn, [pace.target])
    assert pace.is_due()


def test_while_a_worker_is_at_it_no_other_begins_and_what_comes_is_due_when_it_ends(pace: Pace) -> None:
    pace.begin()
    pace.after(repricing_queue.INTERVAL_S + 1)
    assert pace.is_to_ring()
    assert not pace.begin()
    pace.end()
    assert pace.is_due()


def test_after_a_worker_that_died_another_one_begins(pace: Pace) -> None:
    pace.begin()
    assert not pace.begin()
    pace.after(LEASE_S)
    assert pace.is_due()
    assert pace.begin()


def test_where_nothing_waits_any_more_nothing_is_due(pace: Pace, pool: Pool) -> None:
    pace.is_to_ring()
    with pool.connection() as conn:
        repricing_queue.drop_due(conn, [pace.target])
    pace.after(repricing_queue.REDELIVER_AFTER_S)
    assert not pace.is_due()
