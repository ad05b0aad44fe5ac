"""A run requests quotes from the market-data feed, and writes them in bulk."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from shared.errors import ExternalAPITimeout
from shared.market_events.feed import FeedQuote
from shared.postgres.pools import Pool
from tests.integration.catalogue_examples import NOON, new_id
from tests.integration.workers.conftest import Feed
from tests.integration.workers.run_examples import Runs, work
from workers.services import Services


@pytest.fixture
def feed() -> Feed:
    return Feed()


@pytest.fixture
def fed(services: Services, feed: Feed) -> Services:
    return msgspec.structs.replace(services, feed=feed)


def quote(product_id: str, price: str, competitor: str = "globex", **fields: Any) -> FeedQuote:
    return FeedQuote(product_id=product_id, competitor=competitor, price=Decimal(price), currency="USD", **fields)


def signal(pool: Pool, product_id: str, competitor: str = "globex") -> dict[str, Any] | None:
    with pool.connection() as conn:
        query = "SELECT value, occurred_at FROM signals WHERE product_id = %s AND source = %s"
        return conn.execute(query, [product_id, competitor]).fetchone()


def price(runs: Runs, product_id: str) -> Decimal:
    return runs.prices(product_id)[-1]


def test_the_quotes_of_a_partition_are_in_its_prices(fed: Services, feed: Feed, runs: Runs) -> None:
    ids = runs.products(3)
    feed.known = [quote(each, "90.00") for each in ids]
    work(fed, runs.split(ids))
    assert [price(runs, each) for each in ids] == [Decimal("90.00")] * 3
    assert feed.requested == [ids[:2], ids[2:]]


def test_without_a_feed_the_stored_signals_decide(services: Services, runs: Runs) -> None:
    [product_id] = runs.products(1)
    work(services, runs.split([product_id]))
    assert price(runs, product_id) == Decimal("95.00")


def test_a_quote_of_a_product_that_is_not_there_is_passed_over(
    fed: Services, feed: Feed, pool: Pool, runs: Runs
) -> None:
    [product_id], unknown = runs.products(1), new_id()
    feed.known = [quote(unknown, "90.00"), quote(product_id, "91.00")]
    work(fed, runs.split([product_id]))
    assert (price(runs, product_id), signal(pool, unknown)) == (Decimal("91.00"), None)


def test_of_two_quotes_of_a_competitor_the_later_counts(fed: Services, feed: Feed, runs: Runs) -> None:
    ids = runs.products(2)
    later, earlier = NOON, NOON - timedelta(minutes=1)
    for first, second in ((later, earlier), (earlier, later)):
        by_time = {later: "91.00", earlier: "88.00"}
        feed.known = [quote(each, by_time[time], time=time) for each in ids for time in (first, second)]
        work(fed, runs.split(ids))
        assert [price(runs, each) for each in ids] == [Decimal("91.00")] * 2


def test_a_quote_without_a_time_is_of_now_and_counts_before_an_earlier_one(
    fed: Services, feed: Feed, pool: Pool, runs: Runs
) -> None:
    [product_id] = runs.products(1)
    began = datetime.now(UTC)
    feed.known = [quote(product_id, "90.00"), quote(product_id, "88.00", time=NOON)]
    work(fed, runs.split([product_id]))
    noted = signal(pool, product_id)
    assert noted
    assert noted["value"] == Decimal("90.00")
    assert began <= noted["occurred_at"] <= datetime.now(UTC)


def test_a_quote_from_the_future_is_of_now_and_does_not_outlast_later_ones(
    fed: Services, feed: Feed, pool: Pool, runs: Runs
) -> None:
    [product_id] = runs.products(1)
    feed.known = [quote(product_id, "88.00", time=datetime.now(UTC) + timedelta(days=365))]
    work(fed, runs.split([product_id]))
    feed.known = [quote(product_id, "92.00")]
    work(fed, runs.split([product_id]))
    noted = signal(pool, product_id)
    assert noted
    assert (noted["value"], price(runs, product_id)) == (Decimal("92.00"), Decimal("92.00"))


def test_a_quote_that_is_older_than_the_signal_changes_nothing(fed: Services, feed: Feed, runs: Runs) -> None:
    [product_id] = runs.products(1)
    feed.known = [quote(product_id, "80.00", competitor="acme", time=NOON - timedelta(days=1))]
    work(fed, runs.split([product_id]))
    assert price(runs, product_id) == Decimal("95.00")


def test_a_feed_that_does_not_answer_ends_the_attempt_before_any_row_is_locked(
    fed: Services, feed: Feed, pool: Pool, runs: Runs
) -> None:
    ids = runs.products(2)
    task = runs.split(ids)

    def slow() -> None:
        with pool.connection() as conn:
            conn.execute("SELECT 1 FROM products WHERE product_id = ANY(%s) FOR UPDATE NOWAIT", [ids])
        raise ExternalAPITimeout("the feed did not answer")

    feed.meanwhile = slow
    with pytest.raises(ExternalAPITimeout):
        work(fed, task)
    assert (runs.changed(ids), runs.partitions(task.task_id)) == ([], [("waiting", 0)])
