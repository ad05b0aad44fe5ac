"""Faults while events are applied: no price takes a second step, and no event is lost."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import psycopg
import pytest
import redis

from shared.cache.writer import SheetWriter
from shared.errors import LeaseLost
from shared.messaging import clients
from shared.postgres.leases import LEASE_S, MAX_CRASHES
from shared.postgres.pools import Pool
from shared.rulebook.store import ActivePolicy
from tests.integration.catalogue_examples import NOON, new_id, product, write
from tests.integration.workers.conftest import Cached, Interfering
from tests.integration.workers.connections import Connections
from tests.integration.workers.event_examples import Events
from workers.jobs import market_events
from workers.services import Services

LATER = NOON + timedelta(seconds=1)


class Crash(BaseException):
    """The process is gone: nothing that would follow happens."""


class CrashingWriter:
    """The process crashes in place of a put."""

    def __init__(self, pool: Connections) -> None:
        self._pool = pool

    def put(self, stored: object) -> None:
        self._pool.crash_at = 0
        raise Crash


def with_parts(services: Services, **parts: Any) -> Services:
    return msgspec.structs.replace(services, **parts)


@pytest.fixture
def product_id(pool: Pool, policy: ActivePolicy) -> str:
    """A product of 100.00 USD that follows competitors and demand, at most 20 % a step."""
    product_id = new_id()
    write(pool, policy, product(product_id, category="home"))
    return product_id


@pytest.fixture
def crash(services: Services, events: Events) -> Callable[[str], None]:
    """A worker writes the price of a product, crashes before its put, and its lease ends."""

    def crash(product_id: str) -> None:
        pool = Connections(services.pool)
        with pytest.raises(psycopg.OperationalError):
            market_events.reprice_products(with_parts(services, pool=pool, writer=CrashingWriter(pool)), [product_id])
        events.after(LEASE_S, product_id)

    return crash


def test_after_a_crash_before_the_put_the_sheet_is_put_and_no_second_step_taken(
    services: Services, events: Events, cached: Cached, product_id: str, crash: Callable[[str], None]
) -> None:
    event = events.competitor(product_id, "50.00")
    crash(product_id)
    assert (events.statuses(event), cached(product_id)) == (["received"], None)
    market_events.reprice_products(services, [product_id])
    sheet, view = cached(product_id), events.view(event)
    assert sheet
    assert (sheet.version, sheet.published_price) == (2, Decimal("80.00"))
    assert (view.status, view.version, view.attempts) == ("applied", 2, 2)
    assert [price for price, _ in events.prices(product_id)] == [Decimal("100.00"), Decimal("80.00")]


def test_an_event_that_comes_after_a_crash_is_decided_also_where_it_happened_before(
    services: Services, events: Events, product_id: str, crash: Callable[[str], None]
) -> None:
    events.competitor(product_id, "90.00")
    crash(product_id)
    late = events.demand(product_id, "1.1", at=NOON - timedelta(minutes=1))
    market_events.reprice_products(services, [product_id])
    assert events.statuses(late) == ["applied"]
    assert events.prices(product_id)[-1][0] == Decimal("99.00")


def test_events_that_are_tried_one_by_one_after_crashes_take_no_second_step(
    services: Services, events: Events, product_id: str, crash: Callable[[str], None]
) -> None:
    recorded = [events.competitor(product_id, "50.00"), events.demand(product_id, "1.0", at=LATER)]
    for _ in range(MAX_CRASHES - 1):
        crash(product_id)
    for _ in recorded:
        market_events.reprice_products(services, [product_id])
        events.after(1, product_id)
    assert events.statuses(*recorded) == ["applied", "applied"]
    assert [price for price, _ in events.prices(product_id)] == [Decimal("100.00"), Decimal("80.00")]


def test_a_worker_that_lost_its_lease_writes_nothing_and_completes_nothing(
    services: Services, events: Events, product_id: str
) -> None:
    event = events.competitor(product_id, "95.00")
    # The first connection began with the target, the second is to decide.
    pool = Connections(services.pool, lambda number: events.take_over(product_id) if number == 2 else None)
    writer = Interfering(lambda: None)
    with pytest.raises(LeaseLost):
        market_events.reprice_products(with_parts(services, pool=pool, writer=writer), [product_id])
    assert (len(events.prices(product_id)), writer.batches) == (1, [])
    assert events.statuses(event) == ["received"]
    assert not events.queued(product_id)["is_free"]


def test_a_worker_that_lost_its_lease_after_its_commit_completes_nothing(
    services: Services, events: Events, product_id: str
) -> None:
    event = events.competitor(product_id, "95.00")
    writer = Interfering(lambda: events.take_over(product_id), services)
    market_events.reprice_products(with_parts(services, writer=writer), [product_id])
    assert events.statuses(event) == ["received"]
    assert not events.queued(product_id)["is_free"]
    events.after(LEASE_S, product_id)
    market_events.reprice_products(services, [product_id])
    assert (events.statuses(event), len(events.prices(product_id))) == (["applied"], 2)


def test_while_redis_is_away_events_wait_and_their_targets_are_free(
    services: Services, events: Events, pool: Pool, policy: ActivePolicy, cached: Cached, product_id: str
) -> None:
    ids = sorted([product_id, new_id()])
    write(pool, policy, *(product(each, category="home") for each in ids))
    recorded = [events.competitor(each, "50.00") for each in ids]
    away = clients.client("redis://127.0.0.1:1/0", "tests")
    with pytest.raises(redis.ConnectionError):
        market_events.reprice_products(with_parts(services, writer=SheetWriter(away, away, 60)), ids)
    away.close()
    assert events.statuses(*recorded) == ["received", "received"]
    for each in ids:
        queued = events.queued(each)
        assert (queued["is_free"], queued["crashes"], queued["attempts"], queued["is_enqueued"]) == (True, 0, 1, True)
        # Dramatiq's retry comes first; the sweep enqueues a target whose retry was lost.
        assert 12.8 < queued["due_in_s"] <= 20
    market_events.reprice_products(services, ids)
    sheets = [cached(each) for each in ids]
    assert events.statuses(*recorded) == ["applied", "applied"]
    assert [(sheet.version, sheet.published_price) for sheet in sheets if sheet] == [(2, Decimal("80.00"))] * 2


def test_an_attempt_that_ends_before_its_commit_writes_nothing(
    services: Services, events: Events, product_id: str
) -> None:
    event = events.competitor(product_id, "95.00")

    def away(number: int) -> None:
        if number == 2:
            raise psycopg.OperationalError("away")

    with pytest.raises(psycopg.OperationalError):
        market_events.reprice_products(with_parts(services, pool=Connections(services.pool, away)), [product_id])
    assert (len(events.prices(product_id)), events.queued(product_id)["is_free"]) == (1, True)
    market_events.reprice_products(services, [product_id])
    assert (events.statuses(event), events.prices(product_id)[-1]) == (["applied"], (Decimal("95.00"), event.id))
