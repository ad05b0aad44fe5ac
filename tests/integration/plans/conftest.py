"""A shop with a database of its own: its worker makes and applies plans as messages would have it do."""

from collections.abc import Iterator

import msgspec
import pytest
from opentelemetry.sdk.trace import TracerProvider

from shared.pricing.rulebook import NEUTRAL
from shared.rulebook import store as rulebook
from shared.settings import Settings
from tests.integration import databases
from tests.integration.plans.shop import BY, NoQueue, Shop
from workers import services as composition
from workers.services import Services


@pytest.fixture(scope="session")
def own_services(servers: Settings, template: str) -> Iterator[Services]:
    """A worker's services on a database without any other test's products."""
    with databases.migrated(servers, template) as make:
        built = composition.build(make(), TracerProvider())
        yield msgspec.structs.replace(built, enqueue=NoQueue())
        built.close()


@pytest.fixture
def shop(own_services: Services, lasting_marks: None) -> Shop:  # it is only in force
    """An empty shop with the neutral rulebook."""
    with own_services.pool.connection() as conn:
        conn.execute(
            "TRUNCATE products, prices, deleted_prices, signals, price_history, holds, repricing_queue, breaker_moves,"
            " tasks, run_partitions, plans, plan_parts, plan_items, pauses, replaced_signals,"
            " restored_prices, replaced_facts, staged_imports, staged_products, imports, market_values,"
            " price_list_entries, price_list_revisions, former_revisions, edited_entries"
        )
        rulebook.ensure_default(conn)
        rulebook.publish(conn, NEUTRAL, BY)
    return Shop(own_services)
