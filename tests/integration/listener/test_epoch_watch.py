"""The epoch watch: data that went back within its tables, or a cache that failed over, begins a new epoch, once."""

from collections.abc import Iterator

import pytest
import redis

from listener.epoch_watch import KEY, EpochWatch
from shared.cache import primaries
from shared.messaging import clients
from shared.postgres.pools import Pool


@pytest.fixture(autouse=True)
def _own_beat(cache: redis.Redis, pool: Pool) -> Iterator[None]:
    """Other tests need the epoch that they began with."""
    with pool.connection() as conn:
        before = conn.execute("SELECT number FROM epoch").fetchone()
    cache.delete(KEY, primaries.key())
    yield
    cache.delete(KEY, primaries.key())
    with pool.connection() as conn:
        conn.execute("UPDATE epoch SET number = %(number)s", before)


def epoch(pool: Pool) -> int:
    with pool.connection() as conn:
        row = conn.execute("SELECT current_epoch() AS epoch").fetchone()
    assert row
    return int(row["epoch"])


def set_back(pool: Pool, beats: int) -> None:
    with pool.connection() as conn:
        conn.execute("UPDATE epoch SET beat = beat - %s", [beats])


def test_an_undisturbed_database_keeps_its_epoch(pool: Pool, cache: redis.Redis) -> None:
    before = epoch(pool)
    first, second = EpochWatch(pool, cache), EpochWatch(pool, cache)
    for watch in (first, first, second, first, second):
        watch.beat()
    assert epoch(pool) == before


def test_data_that_went_back_under_a_listener_begins_an_epoch_once(pool: Pool, cache: redis.Redis) -> None:
    watch, before = EpochWatch(pool, cache), epoch(pool)
    for _ in range(3):
        watch.beat()
    set_back(pool, 2)
    watch.beat()
    began = epoch(pool)
    assert began > before
    watch.beat()
    assert epoch(pool) == began


def test_data_that_went_back_while_no_listener_ran_is_noticed_by_redis(pool: Pool, cache: redis.Redis) -> None:
    before = epoch(pool)
    for _ in range(3):
        EpochWatch(pool, cache).beat()
    set_back(pool, 2)
    EpochWatch(pool, cache).beat()
    assert epoch(pool) > before


def test_without_redis_the_process_own_memory_counts(pool: Pool) -> None:
    away = clients.client("redis://127.0.0.1:1/0", "tests")
    watch, before = EpochWatch(pool, away), epoch(pool)
    watch.beat()
    watch.beat()
    assert epoch(pool) == before
    set_back(pool, 1)
    watch.beat()
    assert epoch(pool) > before


@pytest.mark.parametrize("value", ["nonsense", b"\xff", ""])
def test_a_foreign_value_in_redis_is_ignored(pool: Pool, cache: redis.Redis, value: str | bytes) -> None:
    before = epoch(pool)
    cache.set(KEY, value)
    EpochWatch(pool, cache).beat()
    assert epoch(pool) == before


def test_a_cache_with_another_primary_begins_an_epoch_once(pool: Pool, cache: redis.Redis) -> None:
    watch, before = EpochWatch(pool, cache), epoch(pool)
    watch.beat()
    assert epoch(pool) == before
    # A promoted replica has copied the run id of its former primary.
    cache.set(primaries.key(), "a" * 40)
    watch.beat()
    began = epoch(pool)
    assert began > before
    for later in (watch, EpochWatch(pool, cache)):
        later.beat()
    assert epoch(pool) == began


def test_a_cache_with_another_primary_that_takes_no_writes_begins_an_epoch_once(
    pool: Pool, cache: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise redis.exceptions.OutOfMemoryError

    watch, before = EpochWatch(pool, cache), epoch(pool)
    cache.set(primaries.key(), "a" * 40)
    monkeypatch.setattr(cache, "set", refused)
    watch.beat()
    began = epoch(pool)
    assert began > before
    watch.beat()
    assert epoch(pool) == began
