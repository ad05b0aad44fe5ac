"""The put: no stale writer wins, whatever is in Redis already."""

import itertools
import random
from collections.abc import Iterator
from decimal import Decimal

import msgspec
import pytest
import redis
from redis.client import PubSub

from shared.cache import commands, sheets
from shared.cache.sheets import CorruptSheet, Fill
from shared.cache.writer import SheetWriter
from shared.messaging.channel import PRICE_CHANGES
from shared.messaging.cluster import Command
from shared.prices.new_versions import StoredSheet
from tests.integration.catalogue_examples import new_id, stored
from tests.support.waiting import eventually

TTL_S = 1000.0
FILL_S, MARK_S = sheets.FILL_WITHIN_MS / 1000, sheets.MARK_TTL_MS / 1000


class Puts:
    """The script on a real Redis, and what it left there."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def put(self, *stored_sheets: StoredSheet) -> int:
        return len(stored_sheets) - self._kept(sheets.put(stored_sheets, TTL_S))

    def fill(self, sheet: StoredSheet, *, age_ms: int = 0, seen: bytes = b"") -> int:
        return 1 - self._kept(sheets.fill([Fill(sheet, seen)], TTL_S, self.now_ms() - age_ms))

    def now_ms(self) -> int:
        seconds, microseconds = self._client.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    def version(self, product_id: str) -> int | None:
        entry = self.entry(product_id)
        return int(sheets.parts(entry).version) if entry else None

    def entry(self, product_id: str) -> bytes | None:
        entry = self._client.get(sheets.key(product_id))
        assert not isinstance(entry, str)
        return entry

    def plant(self, product_id: str, entry: bytes) -> None:
        self._client.set(sheets.key(product_id), entry, ex=1000)

    def _kept(self, command: Command) -> int:
        return sum(commands.run(self._client, [command])[0])


@pytest.fixture(autouse=True)
def _lasting_marks(lasting_marks: None) -> None:
    """Versions of marks are looked at."""


@pytest.fixture
def puts(cache: redis.Redis) -> Puts:
    return Puts(cache)


@pytest.fixture
def heard(cache: redis.Redis) -> Iterator[PubSub]:
    """A subscriber of the announcements."""
    pubsub: PubSub = cache.pubsub()  # type: ignore[no-untyped-call] # redis-py has no type here
    pubsub.subscribe(PRICE_CHANGES)
    eventually(lambda: pubsub.get_message(timeout=1), "subscribed")
    yield pubsub
    pubsub.close()


def test_a_newer_version_replaces_an_older_one(puts: Puts) -> None:
    product_id = new_id()
    assert [puts.put(stored(product_id, version)) for version in (1, 2, 5)] == [1, 1, 1]
    assert puts.version(product_id) == 5


def test_an_older_version_is_refused(puts: Puts) -> None:
    product_id = new_id()
    puts.put(stored(product_id, 10))
    assert puts.put(stored(product_id, 9)) == 0
    assert puts.fill(stored(product_id, 9)) == 0
    assert puts.version(product_id) == 10


@pytest.mark.parametrize("order", list(itertools.permutations((8, 9, 10))))
def test_the_newest_version_wins_in_any_order(puts: Puts, order: tuple[int, ...]) -> None:
    product_id = new_id()
    for version in order:
        puts.put(stored(product_id, version))
    assert puts.version(product_id) == 10


def test_an_equal_version_heals_an_entry_whose_document_is_broken(puts: Puts) -> None:
    product_id = new_id()
    puts.plant(product_id, b'3|{"product_id":')
    sheet = stored(product_id, 3)
    assert puts.put(sheet) == 1
    assert puts.entry(product_id) == sheets.entry(sheet).encode()


def test_where_nobody_asked_for_a_product_a_new_version_leaves_a_short_mark(puts: Puts, cache: redis.Redis) -> None:
    product_id = new_id()
    puts.put(stored(product_id, 7))
    assert puts.entry(product_id) == b"7|?"
    assert 0 < cache.pttl(sheets.key(product_id)) <= sheets.MARK_TTL_MS
    assert puts.fill(stored(product_id, 6)) == 0, "a read that began before"
    assert puts.entry(product_id) == b"7|?"
    assert puts.fill(stored(product_id, 7)) == 1
    assert puts.entry(product_id) == sheets.entry(stored(product_id, 7)).encode()


def test_a_mark_outlives_a_fill_that_is_late() -> None:
    assert FILL_S < MARK_S


def test_a_new_version_does_not_prolong_the_life_of_a_sheet(puts: Puts, cache: redis.Redis) -> None:
    product_id = new_id()
    puts.fill(stored(product_id, 1))
    cache.expire(sheets.key(product_id), 50)
    puts.put(stored(product_id, 2))
    assert puts.entry(product_id) == sheets.entry(stored(product_id, 2)).encode()
    assert 0 < cache.ttl(sheets.key(product_id)) <= 50


def test_a_writer_that_was_late_by_minutes_creates_no_sheet(puts: Puts) -> None:
    product_id = new_id()
    puts.put(stored(product_id, 9))
    assert puts.entry(product_id) == b"9|?"
    assert puts.fill(stored(product_id, 10)) == 1
    assert puts.put(stored(product_id, 9)) == 0


@pytest.mark.parametrize("entry", [b"", b"garbage", b"|", b"x|{}", b"-1|{}", b"\xff\xfe|{}", b"1.5|{}"])
def test_an_entry_without_a_version_is_replaced(puts: Puts, entry: bytes) -> None:
    product_id = new_id()
    puts.plant(product_id, entry)
    assert puts.put(stored(product_id, 1)) == 1
    assert puts.version(product_id) == 1


def test_a_corrupt_entry_of_a_higher_version_is_replaced_by_whoever_has_seen_it(puts: Puts) -> None:
    product_id = new_id()
    corrupt = b"99|nonsense"
    puts.plant(product_id, corrupt)
    assert puts.fill(stored(product_id, 3), seen=b"98|other nonsense") == 0
    assert puts.fill(stored(product_id, 3)) == 0
    assert puts.fill(stored(product_id, 3), age_ms=-60_000, seen=corrupt) == 1
    assert puts.version(product_id) == 3


def test_a_slow_reader_does_not_fill(puts: Puts) -> None:
    product_id = new_id()
    assert puts.fill(stored(product_id, 1), age_ms=sheets.FILL_WITHIN_MS + 1) == 0
    assert puts.entry(product_id) is None


def test_a_slow_reader_does_not_replace_either(puts: Puts) -> None:
    product_id = new_id()
    puts.put(stored(product_id, 1))
    assert puts.fill(stored(product_id, 2), age_ms=sheets.FILL_WITHIN_MS + 1) == 0
    assert puts.version(product_id) == 1


def test_a_quick_reader_fills(puts: Puts) -> None:
    """However slow the machine is that runs this: the read counts from a minute hence."""
    product_id = new_id()
    assert puts.fill(stored(product_id, 1), age_ms=-60_000) == 1
    assert puts.version(product_id) == 1


def test_sheets_of_one_batch_are_judged_one_by_one(puts: Puts) -> None:
    old, new, absent = new_id(), new_id(), new_id()
    puts.put(stored(old, 1), stored(new, 7))
    assert puts.put(stored(old, 2), stored(new, 6), stored(absent, 1)) == 2
    assert [puts.version(product_id) for product_id in (old, new, absent)] == [2, 7, 1]


def test_entries_end_within_ten_percent_of_the_ttl_and_not_together(cache: redis.Redis) -> None:
    product_ids = [new_id() for _ in range(200)]
    fills = [Fill(stored(product_id)) for product_id in product_ids]
    command = sheets.fill(fills, TTL_S, read_at_ms=2**52)
    keys, arguments = command.words[3:203], command.words[203:]
    ttls = [int(ttl) for ttl in arguments[5::5]]
    assert len(ttls) == len(product_ids)
    assert all(0.9 * TTL_S * 1000 <= ttl <= 1.1 * TTL_S * 1000 for ttl in ttls)
    assert len(set(ttls)) > 100
    commands.run(cache, [command])
    assert all(0 < cache.pttl(key) <= 1.1 * TTL_S * 1000 for key in keys)


def test_a_version_beyond_what_a_double_can_count_is_still_compared(puts: Puts) -> None:
    """Lua's numbers are doubles, exact to 2^53: a version a second since the stone age."""
    product_id = new_id()
    puts.put(stored(product_id, 2**53 - 1))
    assert puts.put(stored(product_id, 2**53 - 2)) == 0
    assert puts.version(product_id) == 2**53 - 1


@pytest.mark.parametrize(
    "entry",
    [
        b"",
        b"3",
        b"3|",
        b"3|{}",
        b"3|null",
        b'3|{"product_id":"P-1"}',
        b"\xff\xfe",
        b"3|\xff\xfe",
        f"4|{stored('P-1', 3).json}".encode(),
        f"03|{stored('P-1', 3).json}".encode(),
        f"3|{stored('P-2', 3).json}".encode(),
        f"3|{stored('P-1', 3, currency='XXX').json}".encode(),
        f"3|{stored('P-1', 3, published_price=Decimal(-5)).json}".encode(),
        f"3|{stored('P-1', 3, floor=Decimal('1e999')).json}".encode(),
        f"3|{stored('P-1', 3, list_price=Decimal('NaN')).json}".encode(),
        f"3|{stored('P-1', 3, membership_rate=Decimal(5)).json}".encode(),
        b'3|{"product_id":' + b"[" * 100_000,
        b'3|{"unknown":' + b"[" * 100_000,
    ],
)
def test_what_is_no_sheet_is_corrupt(entry: bytes) -> None:
    with pytest.raises(CorruptSheet):
        sheets.decode("P-1", entry)


def test_a_sheet_comes_out_as_it_went_in(puts: Puts) -> None:
    sheet = stored(new_id(), 4)
    puts.fill(sheet)
    entry = puts.entry(sheet.product_id)
    assert entry
    assert sheets.decode(sheet.product_id, entry) == sheets.sheet_of(sheet)


def test_many_sheets_are_put_in_scripts_of_250_and_announced(cache: redis.Redis, heard: PubSub) -> None:
    batch = [stored(new_id(), 1) for _ in range(600)]
    before = calls(cache)
    SheetWriter(cache, cache, TTL_S).put(batch)
    assert calls(cache) - before == 3
    assert cache.exists(*(sheets.key(sheet.product_id) for sheet in batch)) == 600
    announced = [tuple(change) for change in next_changes(heard)]
    assert announced == [(sheet.product_id, 1) for sheet in batch]


def test_announcements_hold_a_thousand_changes_at_most(cache: redis.Redis, heard: PubSub) -> None:
    batch = [stored(new_id(), 1) for _ in range(1001)]
    SheetWriter(cache, cache, TTL_S).put(batch)
    assert [len(next_changes(heard)), len(next_changes(heard))] == [1000, 1]


def test_nothing_to_put_announces_nothing(cache: redis.Redis, heard: PubSub) -> None:
    SheetWriter(cache, cache, TTL_S).put([])
    assert heard.get_message(timeout=0) is None


def test_the_script_is_loaded_again_where_redis_has_forgotten_it(cache: redis.Redis) -> None:
    writer, product_id = SheetWriter(cache, cache, TTL_S), new_id()
    writer.put([stored(product_id, 1)])
    cache.script_flush()
    writer.put([stored(product_id, 2)])
    assert Puts(cache).version(product_id) == 2


def test_writers_at_random_leave_the_newest(puts: Puts) -> None:
    dice = random.Random(7)
    product_id = new_id()
    versions = [dice.randint(1, 50) for _ in range(100)]
    for version in versions:
        puts.put(stored(product_id, version))
    assert puts.version(product_id) == max(versions)


def calls(client: redis.Redis) -> int:
    """How many scripts Redis has run for us."""
    stats = client.info("commandstats").get("cmdstat_eval", {"calls": 0, "failed_calls": 0})
    return int(stats["calls"]) - int(stats.get("failed_calls", 0))


def next_changes(pubsub: PubSub) -> list[list[object]]:
    message = eventually(lambda: pubsub.get_message(timeout=1), "announcement")
    changes: list[list[object]] = msgspec.json.decode(message["data"])["changes"]
    return changes
