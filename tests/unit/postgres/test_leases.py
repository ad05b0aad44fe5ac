"""The durations that depend on each other when a process crashes or is frozen."""

from shared.messaging import lock
from shared.postgres.leases import LEASE_S
from shared.postgres.limits import IDLE_TIMEOUT_MS, LOCK_TIMEOUT_MS
from tests.chaos.run_holder import GOES_ON_S


def test_the_locks_of_a_frozen_process_end_before_its_lease() -> None:
    assert IDLE_TIMEOUT_MS < LEASE_S * 1000


def test_a_wait_for_a_lock_of_a_frozen_process_ends_before_the_lock_does() -> None:
    # Both begin within the same second. The other way round, the lock passes to a transaction of the frozen process.
    assert IDLE_TIMEOUT_MS - LOCK_TIMEOUT_MS >= 2_000


def test_the_lock_of_a_crashed_run_ends_with_its_lease() -> None:
    assert lock.TTL_MS == LEASE_S * 1000


def test_a_run_whose_holder_crashed_has_three_seconds_of_room_in_its_promise() -> None:
    assert GOES_ON_S - LEASE_S >= 3
