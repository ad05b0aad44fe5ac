"""Market events of products: applied in one decision a product, each with its outcome."""

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from shared.market_events.records import EventRecord
from shared.postgres.pools import Pool
from shared.prices.history import price_changes
from shared.rulebook.store import ActivePolicy
from tests.integration.catalogue_examples import NOON, new_id, product, write
from tests.integration.workers.conftest import Cached, Interfering
from tests.integration.workers.event_examples import Events
from tests.support.metrics import counted
from workers.jobs import market_events
from workers.services import Services

LATER = NOON + timedelta(seconds=1)


@pytest.fixture
def product_id(pool: Pool, policy: ActivePolicy) -> str:
    """A product of 100.00 USD whose price follows competitors and demand."""
    product_id = new_id()
    write(pool, policy, product(product_id, category="home"))
    return product_id


def test_an_event_changes_the_price_that_is_served(
    services: Services, events: Events, cached: Cached, product_id: str
) -> None:
    event = events.competitor(product_id, "95.00")
    market_events.reprice_products(services, [product_id])
    sheet, view = cached(product_id), events.view(event)
    assert sheet
    assert (sheet.version, sheet.published_price) == (2, Decimal("95.00"))
    assert (view.status, view.version, view.attempts, view.reason) == ("applied", 2, 1, None)


def test_the_history_names_the_event_and_its_trace(
    services: Services, events: Events, pool: Pool, product_id: str
) -> None:
    event = events.competitor(product_id, "95.00")
    market_events.reprice_products(services, [product_id])
    with pool.connection() as conn:
        change, _ = price_changes(conn, product_id, 10)
    assert (change.cause, change.cause_id) == ("event", event.id)
    assert change.trace_id == event.traceparent.split("-")[1]


def test_the_outcomes_of_events_are_counted(services: Services, events: Events, product_id: str) -> None:
    def figures() -> list[float]:
        return [
            counted("pricing_events_completed_total", status="applied"),
            counted("pricing_events_completed_total", status="superseded"),
            counted("pricing_decisions_total", cause="event"),
            counted("pricing_prices_changed_total", cause="event"),
            counted("pricing_event_lag_seconds_count"),
        ]

    before = figures()
    for price in ("95.00", "94.00"):
        events.competitor(product_id, price)
    market_events.reprice_products(services, [product_id])
    assert [now - then for now, then in zip(figures(), before, strict=True)] == [1, 1, 1, 1, 2]


def test_of_one_competitors_events_the_latest_counts(services: Services, events: Events, product_id: str) -> None:
    latest = events.competitor(product_id, "92.00", at=LATER)
    earlier = events.competitor(product_id, "95.00")
    market_events.reprice_products(services, [product_id])
    assert events.statuses(earlier, latest) == ["superseded", "applied"]
    assert events.prices(product_id)[1:] == [(Decimal("92.00"), latest.id)]
    # The sheet that includes the latest includes all that it says.
    assert events.view(earlier).version == 2


def test_an_event_from_before_the_last_one_is_superseded_and_decides_nothing(
    services: Services, events: Events, product_id: str
) -> None:
    events.competitor(product_id, "95.00", at=LATER)
    market_events.reprice_products(services, [product_id])
    events.after(1, product_id)
    before = counted("pricing_decisions_total", cause="event")
    late = events.competitor(product_id, "80.00")
    market_events.reprice_products(services, [product_id])
    assert events.statuses(late) == ["superseded"]
    assert (len(events.prices(product_id)), counted("pricing_decisions_total", cause="event")) == (2, before)


def test_events_of_several_kinds_make_one_decision(services: Services, events: Events, product_id: str) -> None:
    competitor = events.competitor(product_id, "90.00")
    demand = events.demand(product_id, "1.1", at=LATER)
    market_events.reprice_products(services, [product_id])
    assert events.statuses(competitor, demand) == ["applied", "applied"]
    assert events.prices(product_id)[1:] == [(Decimal("99.00"), demand.id)]


def test_an_event_that_changes_no_sheet_is_applied_at_the_version_that_stands_and_puts_nothing(
    services: Services, events: Events, pool: Pool, policy: ActivePolicy
) -> None:
    product_id = new_id()
    write(pool, policy, product(product_id, strategy="list_price"))
    event = events.competitor(product_id, "95.00")
    writer = Interfering(lambda: None)
    market_events.reprice_products(msgspec.structs.replace(services, writer=writer), [product_id])
    assert (events.view(event).status, events.view(event).version) == ("applied", 1)
    assert writer.batches == [[]]


def unknown_product(events: Events, known: str) -> EventRecord:
    event = events.demand(new_id(), "1.2")
    events.recorded_before(event, hours=1)
    return event


def cost_in_another_currency(events: Events, known: str) -> EventRecord:
    return events.cost(known, "60.00", "EUR")


def data_of_an_older_release(events: Events, known: str) -> EventRecord:
    return events.record("demand_changed", {"product_id": known, "index": "1000"}, product_id=known)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (unknown_product, "unknown product"),
        (cost_in_another_currency, "$.data.currency: the product is in USD"),
        (data_of_an_older_release, "$.index"),
    ],
)
def test_an_event_that_cannot_be_applied_is_rejected_and_the_others_go_on(
    services: Services, events: Events, pool: Pool, policy: ActivePolicy, product_id: str, bad: object, reason: str
) -> None:
    other = new_id()
    write(pool, policy, product(other))
    assert callable(bad)
    rejected: EventRecord = bad(events, product_id)
    good = [events.competitor(each, "95.00") for each in (product_id, other)]
    market_events.reprice_products(services, sorted({product_id, other, str(rejected.target)}))
    assert events.statuses(rejected, *good) == ["rejected", "applied", "applied"]
    assert reason in str(events.view(rejected).reason)
    assert events.prices(other)[-1] == (Decimal("95.00"), good[1].id)


def test_a_cost_in_the_products_currency_is_applied(
    services: Services, events: Events, cached: Cached, product_id: str
) -> None:
    event = events.cost(product_id, "60.00")
    market_events.reprice_products(services, [product_id])
    sheet = cached(product_id)
    assert (events.view(event).status, sheet and sheet.floor) == ("applied", Decimal("63.00"))


def test_a_message_that_comes_again_changes_nothing(services: Services, events: Events, product_id: str) -> None:
    event = events.competitor(product_id, "50.00")
    market_events.reprice_products(services, [product_id])
    view = events.view(event)
    events.after(1, product_id)
    market_events.reprice_products(services, [product_id])
    assert (events.view(event), len(events.prices(product_id))) == (view, 2)


def test_an_event_within_a_second_of_a_decision_waits_for_its_end(
    services: Services, events: Events, product_id: str
) -> None:
    events.competitor(product_id, "95.00")
    market_events.reprice_products(services, [product_id])
    # A second that lasts longer than any machine may stall.
    events.after(-60, product_id)
    event = events.competitor(product_id, "94.00", at=LATER)
    market_events.reprice_products(services, [product_id])
    assert events.statuses(event) == ["received"]
    assert 0 < events.queued(product_id)["due_in_s"] <= 61


def test_a_product_that_another_worker_holds_is_left_to_it(services: Services, events: Events, product_id: str) -> None:
    event = events.competitor(product_id, "95.00")
    [lease] = events.begin(product_id)
    events.after(2, product_id)
    market_events.reprice_products(services, [product_id])
    assert (events.statuses(event), events.queued(product_id)["claim"]) == (["received"], lease.claim)
