"""Prices that a write decided are put into Redis: in batches, and as they stand when they are put."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
import redis
from redis.client import PubSub

from shared.cache import sheets
from shared.messaging.channel import PRICE_CHANGES, PriceChanges
from shared.postgres.pools import Pool
from shared.rulebook.store import ActivePolicy
from tests.integration.catalogue_examples import new_id, product, stored, write
from tests.integration.workers.conftest import Cached, Interfering
from tests.integration.workers.run_examples import Runs
from tests.support.waiting import eventually
from workers.jobs import cache_sync
from workers.jobs.cache_sync import BATCH
from workers.services import Services


@pytest.fixture
def ids(pool: Pool, policy: ActivePolicy) -> list[str]:
    """Products for more than one batch, of 100.00 USD each."""
    ids = [new_id() for _ in range(BATCH + 1)]
    write(pool, policy, *(product(each) for each in ids))
    return ids


def synced(runs: Runs, ids: list[str]) -> Any:
    return runs.requested(ids, kind="cache_sync")


def test_the_sheets_of_all_products_are_put_in_batches(
    services: Services, runs: Runs, cached: Cached, ids: list[str]
) -> None:
    task_id = synced(runs, ids)
    writer = Interfering(lambda: None, services)
    cache_sync.run(msgspec.structs.replace(services, writer=writer), task_id)
    assert [len(batch) for batch in writer.batches] == [BATCH, 1]
    found = [cached(each) for each in ids]
    assert [(sheet.version, sheet.published_price) for sheet in found if sheet] == [(1, Decimal("100.00"))] * len(ids)
    view = runs.view(task_id)
    assert (view.status, view.progress.done, view.progress.total) == ("succeeded", len(ids), len(ids))


def test_a_price_is_put_as_it_stands_by_then(
    services: Services, pool: Pool, policy: ActivePolicy, runs: Runs, cached: Cached
) -> None:
    product_id = new_id()
    write(pool, policy, product(product_id))
    task_id = synced(runs, [product_id])
    write(pool, policy, product(product_id, base_price=Decimal("110.00")))
    cache_sync.run(services, task_id)
    sheet = cached(product_id)
    assert sheet
    assert (sheet.version, sheet.list_price) == (2, Decimal("110.00"))


def test_a_later_version_that_postgresql_does_not_have_is_replaced(
    services: Services, pool: Pool, policy: ActivePolicy, runs: Runs, cache: redis.Redis, cached: Cached
) -> None:
    product_id = new_id()
    write(pool, policy, product(product_id))
    cache.set(sheets.key(product_id), sheets.entry(stored(product_id, version=7)))
    cache_sync.run(services, synced(runs, [product_id]))
    sheet = cached(product_id)
    assert sheet
    assert sheet.version == 1


def test_new_versions_are_announced(
    services: Services, pool: Pool, policy: ActivePolicy, runs: Runs, cache: redis.Redis
) -> None:
    product_id = new_id()
    write(pool, policy, product(product_id))
    channel: PubSub = cache.pubsub()  # type: ignore[no-untyped-call] # redis-py has no type here
    channel.subscribe(PRICE_CHANGES)
    eventually(lambda: channel.get_message(timeout=1), "the subscription stands")
    cache_sync.run(services, synced(runs, [product_id]))
    message = eventually(lambda: channel.get_message(timeout=1), "the change is announced")
    channel.close()
    assert msgspec.json.decode(message["data"], type=PriceChanges).changes == [(product_id, 1)]


def test_a_product_that_is_gone_is_passed_over(
    services: Services, pool: Pool, policy: ActivePolicy, runs: Runs, cached: Cached
) -> None:
    product_id, gone = new_id(), new_id()
    write(pool, policy, product(product_id))
    task_id = synced(runs, [gone, product_id])
    cache_sync.run(services, task_id)
    assert cached(product_id)
    assert (runs.status(task_id), cached(gone)) == ("succeeded", None)


def test_an_attempt_that_comes_again_puts_everything_and_counts_each_product_once(
    services: Services, runs: Runs, cached: Cached, ids: list[str]
) -> None:
    task_id = synced(runs, ids)
    batches = 0

    def fail() -> None:
        nonlocal batches
        batches += 1
        if batches == 2:
            raise redis.ConnectionError("away")

    writer = Interfering(fail, services)
    with pytest.raises(redis.ConnectionError):
        cache_sync.run(msgspec.structs.replace(services, writer=writer), task_id)
    assert (cached(ids[0]) is not None, cached(ids[-1])) == (True, None)
    assert runs.view(task_id).progress.done == BATCH
    runs.end_leases(task_id)
    cache_sync.run(services, task_id)
    view = runs.view(task_id)
    assert (view.status, view.attempts, view.progress.done) == ("succeeded", 2, len(ids))
    assert all(cached(each) for each in ids)


def test_a_message_for_a_task_that_has_ended_puts_nothing(
    services: Services, pool: Pool, policy: ActivePolicy, runs: Runs
) -> None:
    product_id = new_id()
    write(pool, policy, product(product_id))
    task_id = synced(runs, [product_id])
    cache_sync.run(services, task_id)
    view = runs.view(task_id)
    writer = Interfering(lambda: None)
    cache_sync.run(msgspec.structs.replace(services, writer=writer), task_id)
    assert (writer.batches, runs.view(task_id)) == ([], view)
