"""Prices that move by the clock: on to their target, and back when a signal expires."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from shared.postgres.pools import Pool
from shared.pricing.product import ProductInput
from shared.rulebook.store import ActivePolicy
from tests.integration.catalogue_examples import new_id, product, write
from tests.integration.workers.event_examples import Events
from tests.support.metrics import counted
from workers.jobs import market_events
from workers.services import Services


@pytest.fixture
def followed(pool: Pool, policy: ActivePolicy) -> ProductInput:
    """A product of 100.00 USD whose price follows its competitors, up to 20 % a step."""
    followed = product(new_id(), stock=10)
    write(pool, policy, followed)
    return followed


def prices(events: Events, product_id: str) -> list[str]:
    return [str(price) for price, _ in events.prices(product_id)]


def pass_time(events: Events, services: Services, product_id: str, seconds: float) -> None:
    """Let time go by; the product is decided where it is due then."""
    events.after(seconds, product_id)
    with services.pool.connection() as conn:
        conn.execute(
            "UPDATE prices SET next_due = next_due - make_interval(secs => %s) WHERE product_id = %s",
            [seconds, product_id],
        )
    if (events.queued(product_id)["due_in_s"] or 1) <= 0:
        market_events.reprice_products(services, [product_id])


def test_a_price_goes_on_to_its_target_by_itself_and_then_rests(
    services: Services, events: Events, followed: ProductInput
) -> None:
    events.competitor(followed.product_id, "60.00")
    market_events.reprice_products(services, [followed.product_id])
    for _ in range(5):
        pass_time(events, services, followed.product_id, 1.1)
    assert prices(events, followed.product_id) == ["100.00", "80.00", "64.00", "60.00"]
    # The next instant is the one at which the offer is too old.
    week_s = timedelta(days=6).total_seconds()
    assert events.queued(followed.product_id)["due_in_s"] > week_s


def test_an_event_that_no_rule_reads_decides_nothing_and_the_due_step_still_comes(
    services: Services, events: Events, followed: ProductInput
) -> None:
    events.competitor(followed.product_id, "60.00")
    market_events.reprice_products(services, [followed.product_id])
    events.after(1, followed.product_id)
    before = counted("pricing_decisions_total", cause="event")
    stock = events.record(
        "stock_changed",
        {"product_id": followed.product_id, "stock": 9},
        product_id=followed.product_id,
        at=datetime.now(UTC),
    )
    with services.pool.connection() as conn:  # the step is not due yet
        conn.execute(
            "UPDATE prices SET next_due = clock_timestamp() + interval '1 hour' WHERE product_id = %s",
            [followed.product_id],
        )
    market_events.reprice_products(services, [followed.product_id])
    assert (events.view(stock).status, counted("pricing_decisions_total", cause="event")) == ("applied", before)
    assert prices(events, followed.product_id) == ["100.00", "80.00"]
    pass_time(events, services, followed.product_id, 3601)
    assert prices(events, followed.product_id) == ["100.00", "80.00", "64.00"]


def test_an_offer_that_expires_is_left_at_its_expiry(
    services: Services, events: Events, followed: ProductInput
) -> None:
    expiry = datetime.now(UTC) + timedelta(hours=1)
    data = {"product_id": followed.product_id, "competitor": "acme", "price": "90.00", "currency": "USD"}
    events.record("competitor_price_changed", data | {"expires_at": expiry.isoformat()}, product_id=followed.product_id)
    market_events.reprice_products(services, [followed.product_id])
    assert 3_000 < events.queued(followed.product_id)["due_in_s"] <= 3_600
    with services.pool.connection() as conn:
        conn.execute(
            "UPDATE signals SET expires_at = expires_at - interval '1 hour' WHERE product_id = %s",
            [followed.product_id],
        )
    pass_time(events, services, followed.product_id, 3_600)
    assert prices(events, followed.product_id) == ["100.00", "90.00", "100.00"]


def test_a_person_who_takes_the_rule_away_gets_the_list_price_at_once(
    services: Services, events: Events, pool: Pool, policy: ActivePolicy, followed: ProductInput
) -> None:
    events.competitor(followed.product_id, "60.00")
    market_events.reprice_products(services, [followed.product_id])
    write(pool, policy, msgspec.structs.replace(followed, strategy="list_price"))
    assert prices(events, followed.product_id) == ["100.00", "80.00", "100.00"]


def test_a_new_name_in_the_middle_of_a_move_decides_nothing(
    services: Services, events: Events, pool: Pool, policy: ActivePolicy, followed: ProductInput
) -> None:
    events.competitor(followed.product_id, "60.00")
    market_events.reprice_products(services, [followed.product_id])
    write(pool, policy, msgspec.structs.replace(followed, name="Other", brand="Acme"))
    write(pool, policy, msgspec.structs.replace(followed, name="Other", brand="Acme", min_price=Decimal(10)))
    assert prices(events, followed.product_id)[:3] == ["100.00", "80.00", "80.00"]
    pass_time(events, services, followed.product_id, 1.1)
    assert prices(events, followed.product_id)[-1] in ("64.00", "60.00")
