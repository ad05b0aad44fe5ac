"""The recalculation lock: one task holds it, and only that one lets it go."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
import redis

from shared.errors import LockLost
from shared.messaging import lock
from shared.messaging.lock import RecalculationLock
from tests.integration.catalogue_examples import at_once


@pytest.fixture
def held(cache: redis.Redis) -> Iterator[RecalculationLock]:
    cache.delete(lock.KEY)
    yield RecalculationLock(cache)
    cache.delete(lock.KEY)


def holder(client: redis.Redis) -> str | None:
    value = client.get(lock.KEY)
    assert not isinstance(value, str)
    return value.decode().partition(":")[0] if value else None


def test_a_task_takes_it_and_another_one_is_refused(held: RecalculationLock, cache: redis.Redis) -> None:
    mine = uuid4()
    assert held.acquire(mine) is True
    assert held.acquire(uuid4()) is False
    assert holder(cache) == str(mine)


def test_its_holder_takes_it_again(held: RecalculationLock, cache: redis.Redis) -> None:
    """After a lost reply the same call succeeds."""
    mine = uuid4()
    assert held.acquire(mine)
    cache.pexpire(lock.KEY, 1000)
    assert held.acquire(mine)
    assert 1000 < cache.pttl(lock.KEY) <= lock.TTL_MS


def test_one_of_several_tasks_at_once_takes_it(held: RecalculationLock) -> None:
    tasks = [uuid4() for _ in range(8)]

    def take(task_id: UUID) -> bool:
        return held.acquire(task_id)

    assert sum(at_once([lambda task=task: take(task) for task in tasks])) == 1  # type: ignore[misc]


def test_only_its_holder_lets_it_go(held: RecalculationLock, cache: redis.Redis) -> None:
    mine, other = uuid4(), uuid4()
    held.acquire(mine)
    held.release(other, 1)
    assert holder(cache) == str(mine)
    held.release(mine, 1)
    assert holder(cache) is None
    assert held.acquire(other)


def test_it_is_taken_from_a_holder_that_is_gone(held: RecalculationLock, cache: redis.Redis) -> None:
    gone, mine = uuid4(), uuid4()
    held.acquire(gone)
    assert held.acquire(mine, force=True)
    held.release(gone, 1)
    assert holder(cache) == str(mine)


def test_renewing_holds_it_longer(held: RecalculationLock, cache: redis.Redis) -> None:
    mine = uuid4()
    held.acquire(mine)
    cache.pexpire(lock.KEY, 1000)
    held.renew(mine, 1)
    assert 1000 < cache.pttl(lock.KEY) <= lock.TTL_MS


def test_renewing_takes_it_again_where_redis_has_forgotten_it(held: RecalculationLock, cache: redis.Redis) -> None:
    mine = uuid4()
    held.acquire(mine)
    cache.delete(lock.KEY)
    held.renew(mine, 1)
    assert holder(cache) == str(mine)


def test_renewing_what_another_task_holds_is_an_error_that_passes(held: RecalculationLock) -> None:
    mine, other = uuid4(), uuid4()
    held.acquire(other)
    with pytest.raises(LockLost) as lost:
        held.renew(mine, 1)
    assert lost.value.retryable


def test_it_ends_by_itself(held: RecalculationLock, cache: redis.Redis) -> None:
    held.acquire(uuid4())
    assert 0 < cache.pttl(lock.KEY) <= lock.TTL_MS


def test_a_later_attempt_takes_it_over_and_an_earlier_one_changes_nothing(
    held: RecalculationLock, cache: redis.Redis
) -> None:
    mine = uuid4()
    assert held.acquire(mine, 1)
    assert held.acquire(mine, 2)
    for force in (False, True):
        assert not held.acquire(mine, 1, force=force)
    with pytest.raises(LockLost):
        held.renew(mine, 1)
    held.release(mine, 1)
    assert cache.get(lock.KEY) == f"{mine}:2".encode()
    held.release(mine, 2)
    assert holder(cache) is None


def test_a_start_whose_attempt_is_not_known_yet_neither_takes_it_over_nor_releases_it(
    held: RecalculationLock, cache: redis.Redis
) -> None:
    mine = uuid4()
    held.acquire(mine, 2)
    assert held.acquire(mine)
    held.release(mine, 0)
    assert cache.get(lock.KEY) == f"{mine}:2".encode()


def test_the_end_of_a_run_releases_it_whatever_its_attempt(held: RecalculationLock, cache: redis.Redis) -> None:
    mine = uuid4()
    held.acquire(mine, 2)
    held.release(uuid4(), None)
    assert holder(cache) == str(mine)
    held.release(mine, None)
    assert holder(cache) is None
