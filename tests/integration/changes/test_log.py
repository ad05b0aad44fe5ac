"""The log of changes: each change is one entry."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest
from msgspec.structs import replace

from listener.change_clock import ChangeClock
from shared.catalogue.product_set import ProductSet
from shared.changes import entries
from shared.changes.entries import TYPES, Event, Wanted, WindowPassed
from shared.jobs import endings, tasks
from shared.jobs.endings import TaskError
from shared.messaging.messages import Enqueuer
from shared.postgres.pools import Pool
from shared.prices import breaker, published
from shared.pricing.rulebook import Promotion
from shared.rulebook import store as rulebook
from shared.rulebook import values
from shared.rulebook.store import ActivePolicy
from shared.rulebook.values import By, NewValue
from tests.integration.catalogue_examples import add_competitor, new_id, product, task_cause, write
from tests.integration.changes.log_examples import after, given
from tests.integration.importing_examples import HEADER, imported
from tests.support.waiting import eventually

BY = By("tests", "an entry of the log")


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


def test_every_type_has_an_event() -> None:
    told = {event.__struct_config__.tag for event in entries.Event.__args__}
    assert told == set(TYPES)
