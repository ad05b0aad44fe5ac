"""The rows of events after an attempt that ended by an error."""

from typing import Any

import pytest
from dramatiq import Message, MessageProxy

from shared.market_events import views as event_views
from shared.postgres.pools import Pool
from shared.prices import repricing_queue
from shared.prices.repricing_queue import market_target
from tests.integration.catalogue_examples import new_id
from tests.integration.workers.attempts import Attempt, each_attempt
from tests.integration.workers.conftest import Queues
from tests.integration.workers.event_examples import Events
from tests.support.metrics import counted
from workers.completion import Completion
from workers.services import Services


@pytest.fixture
def completion(services: Services) -> Completion:
    return Completion(services)


def message(argument: Any) -> MessageProxy:
    return MessageProxy(Message("events", "one of two", (argument,), {}, {}))


def reason(attempt: Attempt) -> str | None:
    """The beginning of a failed event's reason; None: it has none."""
    return f"{attempt.error_name}: " if attempt.event == "failed" else None


def begins(text: str | None, beginning: str | None) -> bool:
    return text is None if beginning is None else str(text).startswith(beginning)


@each_attempt
def test_the_events_of_one_product_after_an_attempt(
    completion: Completion, events: Events, queues: Queues, attempt: Attempt
) -> None:
    product_id = new_id()
    waiting = [events.demand(product_id, "1.1"), events.competitor(product_id, "95.00")]
    bystander = events.demand(new_id(), "1.1")
    before = counted("pricing_events_completed_total", status="failed")
    completion.products(message([product_id]), attempt.error, attempt.is_last)
    views = [events.view(event) for event in waiting]
    assert {view.status for view in views} == {attempt.event}
    assert all(begins(view.reason, reason(attempt)) for view in views)
    assert events.statuses(bystander) == ["received"]
    failed = 2 if attempt.event == "failed" else 0
    assert counted("pricing_events_completed_total", status="failed") - before == failed
    assert queues.sent == []


@each_attempt
def test_the_events_of_several_products_after_an_attempt(
    completion: Completion, events: Events, queues: Queues, attempt: Attempt
) -> None:
    """One of them may be to blame: each is tried alone before any event fails."""
    ids = [new_id() for _ in range(3)]
    waiting = [events.demand(each, "1.1") for each in ids]
    completion.products(message(ids), attempt.error, attempt.is_last)
    assert events.statuses(*waiting) == ["received"] * 3
    alone = [("reprice_products", [each]) for each in ids]
    assert queues.sent == (alone if attempt.event == "failed" else [])


@each_attempt
def test_the_events_of_a_market_after_an_attempt(
    completion: Completion, events: Events, queues: Queues, attempt: Attempt
) -> None:
    code = f"M-{new_id()}"
    event = events.market(code, "1.1")
    completion.market(message(code), attempt.error, attempt.is_last)
    view = events.view(event)
    assert view.status == attempt.event
    assert begins(view.reason, reason(attempt))
    assert queues.sent == []


def test_a_failed_event_has_the_starts_and_the_traceback(completion: Completion, events: Events, pool: Pool) -> None:
    code = f"M-{new_id()}"
    event = events.market(code, "1.1")
    leases = events.begin(market_target(code))
    with pool.connection() as conn:
        assert repricing_queue.release(conn, leases)
    try:
        raise ValueError("a fault of ours")
    except ValueError as error:
        completion.market(message(code), error, True)
    with pool.connection() as conn:
        traceback = str(event_views.traceback_of(conn, event.id, event.source))
    assert events.view(event).attempts == 1
    assert traceback.endswith("ValueError: a fault of ours\n")
