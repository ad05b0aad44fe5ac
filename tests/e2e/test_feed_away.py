"""A recalculation is retried while the market-data feed is away."""

from tests.e2e.recalculation_steps import a_product, abort, asked, knows, reaches
from tests.support.engine import Engine
from tests.support.feed import FakeFeed

ATTEMPTS = 6  # the first one and five retries


def test_a_task_is_queued_while_the_feed_is_away_and_succeeds_when_it_is_back(engine: Engine, feed: FakeFeed) -> None:
    product_id = a_product(engine)
    with feed.away():
        task_id = engine.recalculate(product_ids=[product_id])
        first = reaches(engine, task_id, "queued", attempts=1)
        later = reaches(engine, task_id, "queued", attempts=first["attempts"] + 1)
        assert later["error"]["type"] == "ExternalAPIError"
        assert "cannot be reached" in later["error"]["message"]
        assert (later["finished_at"], later["result"]) == (None, None)
        knows(feed, product_id, "95.00")

    task = engine.ended(task_id)
    assert (task["status"], task["error"]) == ("succeeded", None)
    assert task["attempts"] > later["attempts"]
    assert asked(engine, product_id) == "95.00"


def test_a_task_fails_with_its_error_when_the_feed_stays_away(engine: Engine, feed: FakeFeed) -> None:
    product_id = a_product(engine)
    with feed.away():
        task = engine.ended(engine.recalculate(product_ids=[product_id]))
    assert (task["status"], task["attempts"]) == ("failed", ATTEMPTS)
    assert task["error"]["type"] == "ExternalAPIError"
    assert task["progress"] == {"done": 0, "total": 1}
    # The lock went with it: the next one runs.
    assert engine.ended(engine.recalculate(product_ids=[product_id]))["status"] == "succeeded"


def test_a_feed_that_does_not_answer_is_a_timeout_of_its_own(engine: Engine, feed: FakeFeed) -> None:
    product_id = a_product(engine)
    with feed.held():
        task_id = engine.recalculate(product_ids=[product_id])
        task = reaches(engine, task_id, "queued", attempts=1)
        assert task["error"]["type"] == "ExternalAPITimeout"
    assert engine.ended(task_id)["status"] == "succeeded"


def test_prices_are_served_and_events_applied_while_a_recalculation_waits(engine: Engine, feed: FakeFeed) -> None:
    product_id = a_product(engine)
    with feed.away():
        task_id = engine.recalculate()
        reaches(engine, task_id, "queued", attempts=1)
        data: dict[str, object] = {"product_id": product_id, "competitor": "acme", "price": "95", "currency": "USD"}
        published = engine.publish("competitor_price_changed", data)
        assert engine.settled(published["event_id"])["status"] == "applied"
        assert asked(engine, product_id) == "95.00"
        assert abort(engine, task_id) == 202
