"""The near cache: a second at most, never backwards, and never more than it may hold."""

import pytest

from shared.cache.near import BYTES_PER_JSON_BYTE, KEEP_S, MAX_AGE_S, READ_AHEAD_S, NearCache
from tests.support.pricing_examples import sheet


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def near(clock: Clock) -> NearCache:
    return NearCache(max_entries=3, max_bytes=1_000_000, monotonic=clock)


def put(near: NearCache, clock: Clock, product_id: str = "P-1", version: int = 1, size: int = 100) -> int:
    given = near.put(sheet(product_id=product_id, version=version), b"x" * size, asked_at=clock.now)
    return given.version


def test_a_sheet_is_given_for_a_second_and_not_longer(near: NearCache, clock: Clock) -> None:
    put(near, clock)
    clock.now += MAX_AGE_S * 0.99
    assert near.get("P-1") is not None
    clock.now += MAX_AGE_S * 0.02
    assert near.get("P-1") is None


def test_the_second_begins_when_redis_was_asked_not_when_it_answered(near: NearCache, clock: Clock) -> None:
    asked_at = clock.now
    clock.now += 0.9
    near.put(sheet(), b"1|{}", asked_at)
    assert near.get("P-1") is not None
    clock.now += 0.2
    assert near.get("P-1") is None


def test_an_announced_version_is_asked_for_at_once(near: NearCache, clock: Clock) -> None:
    put(near, clock, version=3)
    near.changed([("P-1", 3), ("P-2", 9)])
    assert near.get("P-1") is not None
    near.changed([("P-1", 4)])
    assert near.get("P-1") is None
    assert put(near, clock, version=4) == 4
    assert near.get("P-1") is not None


@pytest.mark.parametrize("way", ["put", "confirm"])
def test_what_was_asked_for_before_the_announcement_does_not_end_it(near: NearCache, clock: Clock, way: str) -> None:
    near.put(sheet(version=3), b"3|{}", asked_at=clock.now)
    asked_at = clock.now
    clock.now += 0.01
    near.changed([("P-1", 4)])
    old = near.put(sheet(version=3), b"3|{}", asked_at) if way == "put" else near.confirm("P-1", b"3|{}", asked_at)
    assert old is not None
    assert near.get("P-1") is None
    clock.now += 0.01
    assert near.put(sheet(version=4), b"4|{}", asked_at=clock.now).version == 4
    assert near.get("P-1") is not None


def test_an_announcement_of_what_never_comes_costs_one_more_look_up(near: NearCache, clock: Clock) -> None:
    put(near, clock, version=3)
    near.changed([("P-1", 4)])
    clock.now += 0.01
    put(near, clock, version=3)
    assert near.get("P-1") is not None


def test_a_version_never_goes_back(near: NearCache, clock: Clock) -> None:
    put(near, clock, version=5)
    clock.now += 2
    assert put(near, clock, version=4) == 5
    held = near.get("P-1")
    assert held is not None
    assert held.version == 5


def test_an_announcement_of_an_older_version_is_a_reason_to_look_too(near: NearCache, clock: Clock) -> None:
    put(near, clock, version=3)
    near.changed([("P-1", 2)])
    assert near.get("P-1") is None


def test_the_database_replaces_a_later_version_that_was_read_before(near: NearCache, clock: Clock) -> None:
    put(near, clock, version=10**15)
    clock.now += 0.1
    older = sheet(version=4)
    assert near.contradicts(older, clock.now)
    assert near.put(older, b"4|", clock.now, from_database=True).version == 4
    assert not near.contradicts(older, clock.now)


def test_the_database_does_not_replace_what_was_read_after_it(near: NearCache, clock: Clock) -> None:
    asked_at = clock.now
    clock.now += 0.1
    put(near, clock, version=5)
    near.changed([("P-1", 6)])
    assert not near.contradicts(sheet(version=4), asked_at)
    assert near.put(sheet(version=4), b"4|", asked_at, from_database=True).version == 5


def test_another_epoch_drops_every_sheet_even_those_found_before(near: NearCache, clock: Clock) -> None:
    near.enter(0, clock.now)
    put(near, clock, version=5)
    held = near.held("P-1")
    assert held is not None
    clock.now += 0.1
    near.enter(0, clock.now)
    assert near.given(held) is not None
    near.enter(7, clock.now - 0.05)
    assert near.given(held) is not None, "an answer that was overtaken"
    near.enter(7, clock.now)
    assert near.given(held) is None
    assert (len(near), near.bytes_held, near.due(), near.epoch) == (0, 0, [], 7)
    assert put(near, clock, version=1) == 1


def test_what_was_checked_longest_ago_goes_first(near: NearCache, clock: Clock) -> None:
    for product_id in ("P-1", "P-2", "P-3", "P-1", "P-4"):
        put(near, clock, product_id)
    assert [near.get(product_id) is not None for product_id in ("P-1", "P-2", "P-3", "P-4")] == [
        True,
        False,
        True,
        True,
    ]
    assert len(near) == 3


def test_it_is_bounded_in_bytes_and_counts_them(clock: Clock) -> None:
    near = NearCache(max_entries=100, max_bytes=1_000 * BYTES_PER_JSON_BYTE, monotonic=clock)
    for number in range(50):
        put(near, clock, f"P-{number % 20}", size=100 + number)
        assert near.bytes_held <= 1_000 * BYTES_PER_JSON_BYTE
    assert 0 < len(near) < 10
    put(near, clock, "P-huge", size=2_000)
    assert (len(near), near.bytes_held) == (0, 0)


def test_an_entry_that_redis_still_has_is_not_decoded_again(near: NearCache, clock: Clock) -> None:
    near.put(sheet(version=2), b"2|a", clock.now)
    clock.now += 5
    same = near.confirm("P-1", b"2|a", clock.now)
    assert same is not None
    assert same.version == 2
    assert near.get("P-1") is same
    assert near.confirm("P-1", b"2|b", clock.now) is None
    assert near.confirm("P-2", b"2|a", clock.now) is None


def test_without_entries_it_holds_nothing(clock: Clock) -> None:
    near = NearCache(max_entries=0, max_bytes=1_000_000, monotonic=clock)
    assert put(near, clock) == 1
    assert (near.get("P-1"), len(near)) == (None, 0)


def test_what_is_asked_for_is_due_before_its_second_is_over(near: NearCache, clock: Clock) -> None:
    for product_id in ("P-1", "P-2", "P-3"):
        put(near, clock, product_id)
    clock.now += READ_AHEAD_S / 2
    near.get("P-1")
    put(near, clock, "P-2")
    near.get("P-2")
    assert near.due() == []
    clock.now += READ_AHEAD_S / 2
    assert near.due() == ["P-1"]  # P-2 was read again meanwhile, nobody asked for P-3
    put(near, clock, "P-1")
    assert near.due() == []
    clock.now += READ_AHEAD_S
    assert near.due() == ["P-1", "P-2"]


def test_what_nobody_asks_for_any_longer_is_left_alone(near: NearCache, clock: Clock) -> None:
    put(near, clock)
    near.get("P-1")
    clock.now += KEEP_S - 1
    assert near.due() == ["P-1"]
    clock.now += 2
    assert near.due() == []


def test_what_was_found_before_is_given_as_long_as_it_is_held(clock: Clock) -> None:
    near = NearCache(max_entries=1, max_bytes=1_000_000, monotonic=clock)
    put(near, clock, "P-1")
    held = near.held("P-1")
    assert held is not None
    assert near.given(held) is near.get("P-1")
    put(near, clock, "P-2")
    assert near.given(held) is None
    assert near.due() == []


def test_what_was_found_before_is_hot_again_after_it_was_left_alone(near: NearCache, clock: Clock) -> None:
    put(near, clock)
    held = near.held("P-1")
    assert held is not None
    for _ in range(2):
        near.given(held)
        clock.now += MAX_AGE_S
        assert near.due() == ["P-1"]
        clock.now += KEEP_S
        assert near.due() == []
        put(near, clock)
