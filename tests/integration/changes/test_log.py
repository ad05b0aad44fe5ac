"""The log of changes: each change is one entry, and ids are visible in the order in which they are given."""

import random
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from msgspec.structs import replace

from listener.change_clock import ChangeClock
from shared.catalogue.product_set import ProductSet
from shared.changes import entries, log
from shared.changes.entries import TYPES, ChangedPrice, Entry, Event, Wanted, WindowPassed
from shared.changes.log import Part
from shared.errors import ChangesGone
from shared.jobs import endings, tasks
from shared.jobs.endings import TaskError
from shared.messaging.messages import Enqueuer
from shared.postgres import migrations, partitions, pools
from shared.postgres.pools import Conn, Pool
from shared.prices import breaker, published
from shared.pricing.rulebook import Promotion
from shared.rulebook import store as rulebook
from shared.rulebook import values
from shared.rulebook.store import ActivePolicy
from shared.rulebook.values import By, NewValue
from shared.settings import Settings
from tests.integration.catalogue_examples import add_competitor, new_id, product, task_cause, write
from tests.integration.importing_examples import HEADER, imported
from tests.support.waiting import eventually

EVERYTHING = Wanted()
BY = By("tests", "an entry of the log")


def given(pool: Pool) -> int:
    """Give ids to all that waits; the last id."""
    while True:
        with pool.connection() as conn:
            if not log.give_ids(conn):
                return log.position(conn).last


def after(pool: Pool, change_id: int, wanted: Wanted = EVERYTHING) -> list[Event]:
    """The events behind an id; ids are given first."""
    given(pool)
    with pool.connection() as conn:
        found = log.read(conn, Part(change_id, limit=10_000, most_bytes=100_000_000))
    return [event for entry in found if (event := entries.event(entry, wanted))]


def prices(pool: Pool, change_id: int, *product_ids: str) -> list[tuple[int, str | None, str | None]]:
    """Version, old and new price of each change of some products."""
    found = after(pool, change_id, Wanted(frozenset({"prices"}), frozenset(product_ids)))
    changes = [one for event in found if isinstance(event, entries.PricesChanged) for one in event.changes]
    return [(one.version, _text(one.old_price), _text(one.new_price)) for one in changes]


def _text(price: Decimal | None) -> str | None:
    return None if price is None else str(price)


def of_type(pool: Pool, change_id: int, kind: entries.ChangeType) -> list[Event]:
    return after(pool, change_id, Wanted(frozenset({kind})))


def test_each_published_price_is_an_entry_in_the_order_of_its_versions(pool: Pool, policy: ActivePolicy) -> None:
    before, product_id = given(pool), new_id()
    for price in (10, 20):
        write(pool, policy, product(product_id, base_price=Decimal(price)))
    with pool.connection() as conn:
        published.delete(conn, product_id)
    found = prices(pool, before, product_id)
    assert found == [(1, None, "10.00"), (2, "10.00", "20.00"), (3, "20.00", None)]


def test_an_unchanged_price_is_no_entry(pool: Pool, policy: ActivePolicy) -> None:
    product_id = new_id()
    write(pool, policy, product(product_id))
    before = given(pool)
    write(pool, policy, product(product_id))
    assert not prices(pool, before, product_id)


def test_a_batch_is_one_entry_of_up_to_a_thousand_products(pool: Pool, policy: ActivePolicy) -> None:
    before, ids = given(pool), [new_id() for _ in range(1_001)]
    write(pool, policy, *map(product, ids))
    found = after(pool, before, Wanted(product_ids=frozenset(ids)))
    assert [len(event.changes) for event in found if isinstance(event, entries.PricesChanged)] == [1_000, 1]


def test_an_import_is_in_the_log_with_new_changed_and_returning_products(
    pool: Pool, policy: ActivePolicy, tmp_path: Path
) -> None:
    new, old, returning = (new_id() for _ in range(3))
    write(pool, policy, product(old, base_price=Decimal(10)), product(returning))
    with pool.connection() as conn:
        published.delete(conn, returning)
    before, file = given(pool), tmp_path / "products.csv"
    rows = "".join(f"{product_id},Kettle,USD,30\n" for product_id in (new, old, returning))
    file.write_text(f"{HEADER}\n{rows}")
    assert imported(pool, file).code == 0
    assert prices(pool, before, new) == [(1, None, "30.00")]
    assert prices(pool, before, old) == [(2, "10.00", "30.00")]
    assert prices(pool, before, returning) == [(3, None, "30.00")]


def test_a_category_is_that_of_the_product_after_the_change(pool: Pool, policy: ActivePolicy, tmp_path: Path) -> None:
    before, product_id, category = given(pool), new_id(), f"c-{uuid4().hex[:8]}"
    file = tmp_path / "products.csv"
    file.write_text(f"{HEADER},category\n{product_id},Kettle,USD,30,{category}\n")
    assert imported(pool, file).code == 0
    write(pool, policy, product(product_id, category=category, base_price=Decimal(40)))
    found = after(pool, before, Wanted(category=category))
    assert [one.version for event in found if isinstance(event, entries.PricesChanged) for one in event.changes] == [
        1,
        2,
    ]
    assert not after(pool, before, Wanted(types=frozenset({"prices"}), category=f"{category}-2"))


def test_a_new_rulebook_and_new_market_values_are_entries(pool: Pool) -> None:
    before = given(pool)
    with pool.connection() as conn:
        made = rulebook.change(conn, lambda held: replace(held, promotions=(*held.promotions, promotion())), BY)
        version = values.add(conn, [NewValue("multiplier", f"M{uuid4().hex[:6]}", Decimal(2))], BY)
    found = of_type(pool, before, "rules")
    told = [
        (event.rulebook_version, event.values_version) for event in found if isinstance(event, entries.RulesChanged)
    ]
    assert told == [(made.version, None), (None, version)]


@pytest.fixture(autouse=True)
def former_rulebook(pool: Pool) -> Iterator[None]:
    """The rulebook as it was, for the tests of others that use the same database."""
    with pool.connection() as conn:
        before = rulebook.active(conn).rulebook
    yield
    with pool.connection() as conn:
        rulebook.publish(conn, before, BY)


def promotion(opens: datetime | None = None) -> Promotion:
    instant = (opens or datetime(2040, 1, 1, tzinfo=UTC)).isoformat()
    return Promotion(id=f"p-{uuid4().hex[:8]}", percent=Decimal(5), from_=instant)


class NoQueue(Enqueuer):
    def __init__(self) -> None:
        """Nothing is enqueued here."""

    def webhook(self, webhook_id: str) -> None:
        """Leave it."""


def new_clock(pool: Pool) -> ChangeClock:
    return ChangeClock(pool, NoQueue(), lambda: True)


def test_a_window_edge_is_an_entry_once_it_has_passed_and_only_once(pool: Pool) -> None:
    clock, before = new_clock(pool), given(pool)
    clock.turn()
    opens = datetime.now(UTC) + timedelta(seconds=0.5)
    one = promotion(opens)
    with pool.connection() as conn:
        rulebook.change(conn, lambda held: replace(held, promotions=(*held.promotions, one)), BY)
    place = f"M{uuid4().hex[:6]}"
    with pool.connection() as conn:
        values.add(conn, [NewValue("multiplier", place, Decimal(2), opens)], BY)

    def passed() -> list[WindowPassed]:
        clock.turn()
        found = [event for event in of_type(pool, before, "window") if isinstance(event, WindowPassed)]
        return [event for event in found if event.id in {one.id, place}]

    eventually(lambda: len(passed()) == 2, "the edges are in the log")
    clock.turn()
    new_clock(pool).turn()
    promoted, valued = passed()
    assert (promoted.part, promoted.id, promoted.edge, promoted.edge_at) == ("promotion", one.id, "from", opens)
    assert (valued.part, valued.id, valued.edge) == ("multiplier", place, "from")
    assert promoted.at >= opens


def test_a_market_value_in_force_at_once_is_no_window_edge(pool: Pool) -> None:
    clock, before, place = new_clock(pool), given(pool), f"M{uuid4().hex[:6]}"
    with pool.connection() as conn:
        values.add(conn, [NewValue("multiplier", place, Decimal(2))], BY)
    clock.turn()
    assert not [one for one in of_type(pool, before, "window") if isinstance(one, WindowPassed) and one.id == place]


def test_holds_that_open_and_end_are_entries_and_newer_targets_are_not(pool: Pool, policy: ActivePolicy) -> None:
    strict = replace(policy, policy=replace(policy.policy, hold_above=Decimal("0.4")))
    before, product_id = given(pool), new_id()
    write(pool, strict, product(product_id))
    for offer in ("55.00", "52.00", "90.00"):
        with pool.connection() as conn:
            add_competitor(conn, product_id, offer)
            published.reprice(conn, [product_id], strict, task_cause())
    found = after(pool, before, Wanted(frozenset({"hold"}), frozenset({product_id})))
    told = [
        (one.status, str(one.target))
        for event in found
        if isinstance(event, entries.HoldsChanged)
        for one in event.holds
    ]
    assert told == [("open", "55.00"), ("replaced", "52.00")]


@pytest.fixture
def open_breaker(pool: Pool) -> Iterator[None]:
    with pool.connection() as conn:
        conn.execute("UPDATE breaker SET is_open = true, reason = 'a feed', author = ''")
    yield
    with pool.connection() as conn:
        conn.execute("UPDATE breaker SET is_open = false")


def test_the_breaker_is_an_entry_when_it_opens_and_when_it_is_reset(pool: Pool, open_breaker: None) -> None:
    before = given(pool) - 1
    with pool.connection() as conn:
        breaker.reset(conn, "the feed is right", "shop")
    found = [event for event in of_type(pool, before, "breaker") if isinstance(event, entries.BreakerChanged)]
    assert [(one.is_open, one.reason, one.author) for one in found] == [
        (True, "a feed", ""),
        (False, "the feed is right", "shop"),
    ]


def test_a_job_is_an_entry_at_its_end_unless_it_only_fills_a_cache(pool: Pool) -> None:
    before = given(pool)
    with pool.connection() as conn:
        job = tasks.create(conn, "recalculation", ProductSet(product_ids=(new_id(),)), "")
        other = tasks.create(conn, "cache_sync", ProductSet(product_ids=(new_id(),)), "")
        for task_id in (job, other):
            assert endings.fail(conn, task_id, None, TaskError("Wrong", "it broke"))
    found = [event for event in of_type(pool, before, "job") if isinstance(event, entries.JobEnded)]
    ended = [(one.task_id, one.kind, one.status) for one in found]
    assert (job, "recalculation", "failed") in ended
    assert other not in [task_id for task_id, _, _ in ended]


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


def append(conn: Conn, product_id: str) -> None:
    item = entries.PriceItem(product_id, 1, "EUR", None, Decimal(1), "none")
    log.append_prices(conn, msgspec.json.encode(item) + b"\n")


def changed(pool: Pool, change_id: int) -> list[list[ChangedPrice]]:
    return [event.changes for event in after(pool, change_id) if isinstance(event, entries.PricesChanged)]


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
    def own(self, new_database: Callable[[], Settings]) -> Iterator[Pool]:
        settings = new_database()
        migrations.migrate(settings)
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


def test_every_type_has_an_event() -> None:
    told = {event.__struct_config__.tag for event in entries.Event.__args__}
    assert told == set(TYPES)
