"""Ids of the log are visible in the order in which they are given, also in another epoch and behind its beginning."""

import random
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import msgspec
import pytest

from shared.changes import log
from shared.changes.entries import Entry
from shared.changes.log import Part
from shared.errors import ChangesGone
from shared.postgres import partitions, pools
from shared.postgres.pools import Pool
from shared.rulebook import store as rulebook
from shared.settings import Settings
from tests.integration.changes.log_examples import append, changed, given
from tests.support.waiting import eventually


def test_an_entry_is_visible_only_when_all_lower_ids_are(pool: Pool) -> None:
    before = given(pool)
    with pool.connection() as slow:
        append(slow, "slow")
        with pool.connection() as fast:
            append(fast, "fast")
        assert [one[0].product_id for one in changed(pool, before)] == ["fast"]
    last = given(pool)
    told = changed(pool, before)
    assert [one[0].product_id for one in told] == ["fast", "slow"]
    with pool.connection() as conn:
        ids = [entry.change_id for entry in log.read(conn, Part(before))]
    assert ids == list(range(before + 1, last + 1))


def test_a_reader_beside_many_writers_misses_nothing_and_sees_no_id_late(pool: Pool) -> None:
    start, writers, each = given(pool), 4, 25
    names = {f"W-{number}-{part}" for number in range(writers) for part in range(each)}

    def work(number: int) -> None:
        for part in range(each):
            with pool.connection() as conn:
                append(conn, f"W-{number}-{part}")
                # A statement of a random length between the number and the commit.
                conn.execute("SELECT pg_sleep(%s)", [random.random() / 500])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    seen: list[Entry] = []

    def read() -> bool:
        with pool.connection() as conn:
            log.give_ids(conn)
        with pool.connection() as conn:
            seen.extend(log.read(conn, Part(seen[-1].change_id if seen else start)))
        told = {one[0] for entry in seen if entry.type == "prices" for one in msgspec.json.decode(entry.data)}
        return told >= names

    eventually(read, "every entry was read")
    for thread in threads:
        thread.join()
    ids = [entry.change_id for entry in seen]
    assert ids == list(range(start + 1, start + 1 + len(ids)))
    # Each writer's entries in its order.
    order = [one[0] for entry in seen if entry.type == "prices" for one in msgspec.json.decode(entry.data)]
    for number in range(writers):
        own = [name for name in order if name.startswith(f"W-{number}-")]
        assert own == [f"W-{number}-{part}" for part in range(each)]


def test_while_one_gives_ids_another_does_not(pool: Pool) -> None:
    given(pool)
    with pool.connection() as conn:
        append(conn, "waiting")
    with pool.connection() as first, pool.connection() as second:
        assert log.give_ids(first) == 1
        assert log.give_ids(second) == 0


class TestOfItsOwn:
    """A log of the test's own, without entries of others."""

    @pytest.fixture
    def own(self, migrated_database: Callable[[], Settings]) -> Iterator[Pool]:
        settings = migrated_database()
        with pools.pool(settings, "tests", size=2) as pool:
            pool.wait()
            with pool.connection() as conn:
                rulebook.ensure_default(conn)
            yield pool

    def test_in_a_new_epoch_ids_jump_ahead_of_all_that_were_given(self, own: Pool) -> None:
        first = given(own)
        assert first == 1  # the rulebook
        with own.connection() as conn:
            conn.execute("UPDATE change_log SET epoch = epoch + 1")
            append(conn, "restored")
        last = given(own)
        assert last > 1_000_000_000_000
        with own.connection() as conn:
            append(conn, "next")
        assert given(own) == last + 1
        with own.connection() as conn:
            log.check(conn, first)
            with pytest.raises(ChangesGone):
                log.check(conn, first + 1)  # an entry that was lost

    def test_an_id_before_the_log_is_refused_with_the_place_to_begin(self, own: Pool, settings: Settings) -> None:
        for name in ("a", "b", "c"):
            with own.connection() as conn:
                append(conn, name)
        last = given(own)
        with own.connection() as conn:
            log.check(conn, 0)
            conn.execute("UPDATE changes SET recorded_at = now() - interval '100 days' WHERE change_id < %s", [last])
        today = datetime.now(UTC)
        partitions.maintain(own, settings, today)
        with own.connection() as conn:
            log.check(conn, last - 1)
            with pytest.raises(ChangesGone) as refused:
                log.check(conn, last - 2)
            assert refused.value.begin == last - 1
            conn.execute("DELETE FROM changes")
            log.check(conn, last)
            with pytest.raises(ChangesGone) as refused:
                log.check(conn, 0)
            assert refused.value.begin == last
            with pytest.raises(ChangesGone):
                log.check(conn, last + 1)

    def test_entries_without_ids_move_into_their_month_and_get_them_there(self, own: Pool, settings: Settings) -> None:
        with own.connection() as conn:
            append(conn, "moves")
        partitions.maintain(own, settings, datetime.now(UTC))
        [[one]] = changed(own, 1)
        assert one.product_id == "moves"
