"""Which of two facts counts: by time, by receipt, by a person's write; and an event that comes before its product."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from shared.catalogue import products
from shared.market_events import inbox
from shared.market_events.records import EventRecord
from shared.postgres import clock
from shared.postgres.pools import Pool
from shared.rulebook.store import ActivePolicy
from tests.integration.catalogue_examples import NOON, new_id, product, write
from tests.integration.importing_examples import imported
from tests.integration.workers.event_examples import Events
from workers.jobs import market_events
from workers.services import Services


@pytest.fixture
def product_id(pool: Pool, policy: ActivePolicy) -> str:
    product_id = new_id()
    write(pool, policy, product(product_id, cost=Decimal(80)))
    return product_id


def offer(product_id: str, price: str, **fields: Any) -> EventRecord:
    data = {"product_id": product_id, "competitor": "acme", "price": price, "currency": "USD"}
    known: dict[str, Any] = {"source": "erp", "id": new_id(), "occurred_at": NOON, "product_id": product_id}
    return EventRecord(**known | {"type": "competitor_price_changed", "data": data} | fields)


@pytest.mark.parametrize("at_once", [True, False])
def test_of_equal_times_the_event_recorded_later_counts_whatever_the_ids(
    services: Services, events: Events, pool: Pool, product_id: str, at_once: bool
) -> None:
    first = offer(product_id, "95.00", id=f"upd-9-{product_id}")
    second = offer(product_id, "90.00", id=f"upd-10-{product_id}")
    for records in [[first, second]] if at_once else [[first], [second]]:
        with pool.connection() as conn:
            inbox.record(conn, records)
        if not at_once:
            events.after(2, product_id)
            market_events.reprice_products(services, [product_id])
    market_events.reprice_products(services, [product_id])
    assert (events.statuses(second), str(events.prices(product_id)[-1][0])) == (["applied"], "90.00")


@pytest.mark.parametrize("ahead_s", [240, 60, 10])
def test_a_time_ahead_of_the_clock_is_the_time_of_receipt(
    services: Services, events: Events, product_id: str, ahead_s: int
) -> None:
    ahead = events.competitor(product_id, "95.00", at=datetime.now(UTC) + timedelta(seconds=ahead_s))
    now = events.competitor(product_id, "90.00", at=datetime.now(UTC) + timedelta(seconds=1))
    market_events.reprice_products(services, [product_id])
    assert events.statuses(ahead, now) == ["superseded", "applied"]


def test_a_cost_from_before_a_persons_write_is_superseded(
    services: Services, events: Events, pool: Pool, policy: ActivePolicy, product_id: str
) -> None:
    write(pool, policy, product(product_id, cost=Decimal(99)))
    late = events.cost(product_id, "60.00", at=NOON)
    market_events.reprice_products(services, [product_id])
    assert (events.statuses(late), str(events.prices(product_id)[-1][0])) == (["superseded"], "103.95")
    events.after(2, product_id)
    newer = events.cost(product_id, "60.00")
    market_events.reprice_products(services, [product_id])
    assert events.statuses(newer) == ["applied"]


@pytest.mark.parametrize("kind", ["cost", "stock"])
def test_a_write_of_the_same_facts_is_as_of_now_too(
    services: Services, events: Events, pool: Pool, policy: ActivePolicy, kind: str
) -> None:
    same = product(new_id(), cost=Decimal(99), stock=7)
    write(pool, policy, same)
    between = datetime.now(UTC)
    assert write(pool, policy, same, product(new_id())).changed != (same.product_id,)
    data: dict[str, Any] = {"product_id": same.product_id, "cost": "60.00", "currency": "USD"}
    if kind == "stock":
        data = {"product_id": same.product_id, "stock": 3}
    late = events.record(f"{kind}_changed", data, product_id=same.product_id, at=between)
    market_events.reprice_products(services, [same.product_id])
    assert events.statuses(late) == ["superseded"]
    with pool.connection() as conn:
        stored = products.view(conn, same.product_id).product
    assert (stored.cost, stored.stock) == (Decimal(99), 7)


@pytest.mark.parametrize(("columns", "status"), [("stock", "superseded"), ("name", "applied")])
def test_an_import_of_the_same_facts_is_as_of_now_where_it_has_stock_or_cost(
    services: Services, events: Events, pool: Pool, policy: ActivePolicy, tmp_path: Path, columns: str, status: str
) -> None:
    same = product(new_id(), stock=7)
    write(pool, policy, same)
    between = datetime.now(UTC)
    path = tmp_path / "products.csv"
    path.write_text(f"product_id,{columns}\n{same.product_id},{getattr(same, columns)}\n")
    assert "1 unchanged" in imported(pool, path).said
    data: dict[str, Any] = {"product_id": same.product_id, "stock": 3}
    late = events.record("stock_changed", data, product_id=same.product_id, at=between)
    market_events.reprice_products(services, [same.product_id])
    assert events.statuses(late) == [status]


def test_an_event_without_a_time_is_as_of_its_receipt_by_the_clock_of_postgresql(
    services: Services, events: Events, pool: Pool, product_id: str
) -> None:
    """Of several in one batch the one that stands later counts, whatever their ids."""
    first, second = (
        offer(product_id, price, id=f"{n}-{product_id}", occurred_at=None) for n, price in ((9, "95.00"), (1, "90.00"))
    )
    with pool.connection() as conn:
        began = clock.now(conn)
        inbox.record(conn, [first, second])
        [row] = conn.execute("SELECT occurred_at, recorded_at FROM market_events WHERE id = %s", [second.id]).fetchall()
        assert began <= row["occurred_at"] <= clock.now(conn)
    market_events.reprice_products(services, [product_id])
    assert (events.statuses(first, second), str(events.prices(product_id)[-1][0])) == (
        ["superseded", "applied"],
        "90.00",
    )


@pytest.mark.parametrize(("category", "price"), [("electronics", "90.00"), ("grocery", "89.10"), ("books", "100.00")])
def test_an_event_that_comes_before_its_product_is_applied_when_it_comes(
    services: Services, events: Events, pool: Pool, policy: ActivePolicy, category: str, price: str
) -> None:
    early_id = new_id()
    event = events.competitor(early_id, "90.00")
    market_events.reprice_products(services, [early_id])
    assert events.statuses(event) == ["received"]
    assert 3_500 < events.queued(early_id)["due_in_s"] <= 3_600
    events.after(2, early_id)
    write(pool, policy, product(early_id, category=category))
    assert events.queued(early_id)["due_in_s"] <= 0
    market_events.reprice_products(services, [early_id])
    assert (events.statuses(event), str(events.prices(early_id)[-1][0])) == (["applied"], price)


def test_an_event_whose_product_does_not_come_within_an_hour_is_rejected(services: Services, events: Events) -> None:
    early_id = new_id()
    event = events.competitor(early_id, "90.00")
    market_events.reprice_products(services, [early_id])
    events.recorded_before(event, hours=1)
    events.after(3_600, early_id)
    market_events.reprice_products(services, [early_id])
    assert events.statuses(event) == ["rejected"]
