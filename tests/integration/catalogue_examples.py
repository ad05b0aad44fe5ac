"""Products, sheets and competitors to start from, and what a test asks of the tables about them."""

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar
from uuid import uuid4

import msgspec

from shared.market_events import signals
from shared.market_events.events import CompetitorPriceChanged
from shared.market_events.signals import SignalUpdate
from shared.postgres.pools import Conn, Pool
from shared.prices import published
from shared.prices.new_versions import Cause, StoredSheet
from shared.prices.published import Repriced
from shared.pricing.product import ProductInput
from shared.rulebook.store import ActivePolicy
from tests.support import pricing_examples

# The time of most events: an hour ago, so that no signal is too old.
NOON = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
T = TypeVar("T")


def new_id() -> str:
    return f"I-{uuid4().hex[:12]}"


def task_cause() -> Cause:
    return Cause("task", str(uuid4()))


def again(cause: Cause) -> Cause:
    """The same cause, tried once more."""
    return msgspec.structs.replace(cause, is_retry=True)


def product(product_id: str, **fields: Any) -> ProductInput:
    """One whose price follows its competitors, up to 20 % a step."""
    return pricing_examples.product(product_id=product_id, **{"category": "electronics", **fields})


def stored(product_id: str, version: int = 1, *, epoch: int = 0, **fields: Any) -> StoredSheet:
    """A sheet as PostgreSQL has it."""
    sheet = pricing_examples.sheet(product_id=product_id, version=version, **fields)
    return StoredSheet(product_id, version, msgspec.json.encode(sheet).decode(), epoch)


def write(pool: Pool, policy: ActivePolicy, *inputs: ProductInput) -> Repriced:
    with pool.connection() as conn:
        return published.write_products(conn, inputs, policy, Cause("write", str(uuid4())))


def add_competitor(conn: Conn, product_id: str, price: str, currency: str = "USD") -> None:
    add_competitors(conn, {product_id: price}, currency)


def add_competitors(conn: Conn, prices: Mapping[str, str], currency: str = "USD") -> None:
    asked = [
        CompetitorPriceChanged(product_id=product_id, competitor="acme", price=Decimal(price), currency=currency)
        for product_id, price in prices.items()
    ]
    won = signals.apply(conn, [SignalUpdate.of(competitor, "test", NOON, str(uuid4())) for competitor in asked])
    assert len(won) == len(prices)


def at_once(jobs: Sequence[Callable[[], T]]) -> list[T]:
    """Run jobs in a thread each, started together; what they return, in their order.

    Raises:
        BaseException: what the first of them raised.
    """
    barrier = threading.Barrier(len(jobs))
    results: dict[int, T] = {}
    raised: list[BaseException] = []

    def run(index: int, job: Callable[[], T]) -> None:
        try:
            barrier.wait()
            results[index] = job()
        except BaseException as error:  # noqa: BLE001 # whatever it is, the test's own thread raises it
            raised.append(error)

    threads = [threading.Thread(target=run, args=(index, job)) for index, job in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads), "a job hangs"
    if raised:
        raise raised[0]
    return [results[index] for index in range(len(jobs))]
