"""A shop with a database of its own: its worker makes and applies plans as messages would have it do."""

from collections.abc import Iterator
from uuid import uuid4

import msgspec
import psycopg
import pytest
from opentelemetry.sdk.trace import TracerProvider
from psycopg import sql

from deploy.native import state
from shared.postgres import migrations
from shared.pricing.rulebook import NEUTRAL
from shared.rulebook import store as rulebook
from shared.settings import Settings
from tests.integration.plans.shop import BY, NoQueue, Shop
from workers import services as composition
from workers.services import Services


@pytest.fixture(scope="session")
def own_services(servers: Settings) -> Iterator[Services]:
    """A worker's services on a database without any other test's products."""
    name = f"t_{uuid4().hex[:12]}"
    address, _, _ = servers.database_url.rpartition("/")
    with psycopg.connect(state.load(servers.home_dir).superuser_url, autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {} OWNER pricing").format(sql.Identifier(name)))
        settings = msgspec.structs.replace(servers, database_url=f"{address}/{name}")
        migrations.migrate(settings)
        built = composition.build(settings, TracerProvider())
        yield msgspec.structs.replace(built, enqueue=NoQueue())
        built.close()
        server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


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
