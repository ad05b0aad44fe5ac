"""The market-data feed is pulled once an interval, whoever asks."""

from collections.abc import Iterator

import pytest

from shared.catalogue.product_set import ProductSet
from shared.jobs import feed_pulls, tasks
from shared.postgres.pools import Pool
from tests.integration.catalogue_examples import at_once

# So long that no interval ends during a test.
NEVER_S = 10**12


@pytest.fixture(autouse=True)
def _no_tasks(pool: Pool) -> Iterator[None]:
    _forget(pool)
    yield
    _forget(pool)


def _forget(pool: Pool) -> None:
    with pool.connection() as conn:
        conn.execute("TRUNCATE tasks, run_partitions")


def request(pool: Pool, every_s: int = NEVER_S) -> bool:
    with pool.connection() as conn:
        return feed_pulls.request(conn, every_s)


def queued(pool: Pool) -> list[object]:
    with pool.connection() as conn:
        rows = conn.execute("SELECT product_set FROM tasks WHERE kind = 'recalculation' AND status = 'queued'")
        return [row["product_set"] for row in rows]


def test_of_several_listeners_at_once_one_pull_is_requested_of_everything(pool: Pool) -> None:
    at_once([lambda: request(pool)] * 6)
    assert queued(pool) == [{}]


def test_an_interval_has_one_pull_also_after_it_has_ended(pool: Pool) -> None:
    assert request(pool)
    with pool.connection() as conn:
        conn.execute("UPDATE tasks SET status = 'succeeded', finished_at = clock_timestamp()")
    assert not request(pool)
    assert request(pool, NEVER_S + 1)  # another interval
    assert queued(pool) == [{}]


@pytest.mark.parametrize(("waits", "is_requested"), [(ProductSet(), False), (ProductSet(categories=("toys",)), True)])
def test_none_is_requested_while_a_recalculation_of_everything_waits(
    pool: Pool, waits: ProductSet, is_requested: bool
) -> None:
    with pool.connection() as conn:
        tasks.create(conn, "recalculation", waits, "")
    assert request(pool) == is_requested
