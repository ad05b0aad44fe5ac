"""A product whose own data is bad fails alone, counted and named; the others go on."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from shared.jobs.partitions import MOST_FAILURES
from shared.jobs.views import TaskResult
from shared.postgres.pools import Pool
from shared.rulebook.store import ActivePolicy
from tests.integration.catalogue_examples import NOON, product, write
from tests.integration.workers.conftest import Cached
from tests.integration.workers.event_examples import Events
from tests.integration.workers.run_examples import Runs
from tests.support.metrics import counted
from workers.jobs import market_events, recalculation
from workers.services import Services

LATER = NOON + timedelta(seconds=1)
Spoil = Callable[[str], None]


@pytest.fixture
def spoil(pool: Pool) -> Spoil:
    """Takes the currency out of a product's stored sheet."""

    def spoil(product_id: str) -> None:
        with pool.connection() as conn:
            query = "UPDATE prices SET sheet = (sheet::jsonb - 'currency')::text WHERE product_id = %s"
            assert conn.execute(query, [product_id]).rowcount == 1

    return spoil


@pytest.fixture
def failures() -> Callable[[str], float]:
    """The failures counted since the start of the test, by cause."""
    before = {cause: counted("pricing_products_failed_total", cause=cause) for cause in ("task", "event")}
    return lambda cause: counted("pricing_products_failed_total", cause=cause) - before[cause]


def test_a_run_succeeds_for_the_others(
    services: Services, runs: Runs, pool: Pool, spoil: Spoil, failures: Callable[[str], float]
) -> None:
    ids = runs.products(5)
    spoil(ids[1])
    with pool.connection() as conn:
        conn.execute("UPDATE products SET tiers = '[{}]' WHERE product_id = %s", [ids[3]])
    task = runs.split(ids)
    recalculation.run(services, task.task_id)
    view = runs.view(task.task_id)
    assert (view.status, view.progress.done, view.progress.total, view.error) == ("succeeded", 5, 5, None)
    assert view.result is not None
    failed = view.result.failed_products
    assert view.result == TaskResult(recalculated=3, changed=3, failed=2, failed_products=failed)
    assert [each.product_id for each in failed] == [ids[1], ids[3]]
    assert "currency" in failed[0].reason
    assert runs.changed(ids) == [ids[0], ids[2], ids[4]]
    assert failures("task") == 2


def test_a_result_names_the_first_hundred_and_counts_all(services: Services, runs: Runs, spoil: Spoil) -> None:
    ids = runs.products(MOST_FAILURES + 3)
    for each in ids[1:]:
        spoil(each)
    task = runs.split(ids)
    recalculation.run(services, task.task_id)
    result = runs.view(task.task_id).result
    assert result is not None
    assert (result.recalculated, result.failed) == (1, MOST_FAILURES + 2)
    assert [each.product_id for each in result.failed_products] == ids[1 : MOST_FAILURES + 1]


def test_the_events_of_such_a_product_fail_and_those_of_the_others_are_applied(
    services: Services, runs: Runs, events: Events, spoil: Spoil, cached: Cached, failures: Callable[[str], float]
) -> None:
    ids = runs.products(3)
    spoil(ids[1])
    recorded = [events.competitor(each, "90.00", at=LATER) for each in ids]
    market_events.reprice_products(services, ids)
    assert events.statuses(*recorded) == ["applied", "failed", "applied"]
    assert "currency" in str(events.view(recorded[1]).reason)
    assert [runs.prices(each)[-1] for each in ids] == [Decimal(90), Decimal(100), Decimal(90)]
    assert (cached(ids[0]) is not None, cached(ids[1])) == (True, None)
    assert failures("event") == 1


def test_nothing_of_a_failed_event_is_applied(
    services: Services, runs: Runs, pool: Pool, events: Events, spoil: Spoil
) -> None:
    """So that it counts when it is replayed."""
    [product_id] = runs.products(1)
    spoil(product_id)
    events.competitor(product_id, "90.00", at=LATER)
    market_events.reprice_products(services, [product_id])
    with pool.connection() as conn:
        row = conn.execute("SELECT value FROM signals WHERE product_id = %s", [product_id]).fetchone()
    assert row == {"value": Decimal(95)}


def test_a_write_replaces_a_sheet_that_cannot_be_read(
    runs: Runs, pool: Pool, policy: ActivePolicy, spoil: Spoil
) -> None:
    [product_id] = runs.products(1, competitor="100.00")
    spoil(product_id)
    repriced = write(pool, policy, product(product_id, base_price=Decimal("110.00")))
    assert (repriced.failed, repriced.sheets[product_id].version) == ((), 2)
    assert runs.prices(product_id) == [Decimal(100), Decimal(100)]
