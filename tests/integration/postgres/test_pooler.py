"""Behind PgBouncer in transaction mode: the time limits are in force or the process refuses, and nothing fails."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import msgspec
import psycopg
import pytest

from shared.postgres import pools
from shared.settings import InvalidSettings, Settings
from tests.support import private_stack
from tests.support.pgbouncer import PgBouncer, migrated, pgbouncer
from tests.support.waiting import eventually

pytestmark = pytest.mark.long

LIMITS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "timezone")


@pytest.fixture(scope="module")
def pooler(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PgBouncer]:
    with pgbouncer(servers.database_url, tmp_path_factory.mktemp("pgbouncer")) as pooler:
        yield pooler


@pytest.fixture
def pooled(pooler: PgBouncer, new_database: Callable[[], Settings]) -> Settings:
    """Settings of an empty database by way of the pooler."""
    own = new_database()
    name = own.database_url.rpartition("/")[2]
    return msgspec.structs.replace(
        own,
        database_url=pooler.url(name),
        database_direct_url=own.database_url,
        database_pooler="transaction",
    )


def test_a_process_refuses_to_start_until_the_limits_are_in_force_and_says_what_to_do(
    pooled: Settings, pooler: PgBouncer
) -> None:
    with pytest.raises(InvalidSettings, match=r"PRICING_DATABASE_POOLER: statement_timeout is 0 .* `just migrate`"):
        pools.check_pooler(pooled)
    with pools.pool(pooled, "tests", size=1) as pool, pytest.raises(psycopg.OperationalError):
        pool.wait(timeout=1)
    migrated(pooled, pooler)
    with pools.pool(pooled, "tests", size=1) as pool, pool.connection() as conn:
        found = [conn.execute("SELECT current_setting(%s) AS value", [name]).fetchone() for name in LIMITS]
    assert [row and row["value"] for row in found] == ["30s", "8s", "10s", "UTC"]


def test_a_process_starts_while_the_pooler_is_away(pooled: Settings) -> None:
    pools.check_pooler(msgspec.structs.replace(pooled, database_url="postgresql://pricing@127.0.0.1:1/pricing"))


def test_commands_reach_postgresql_past_the_pooler_without_limits(pooled: Settings, pooler: PgBouncer) -> None:
    migrated(pooled, pooler)
    with pools.connect(pooled, "tests") as conn:
        assert conn.info.port != int(pooled.database_url.rpartition(":")[2].partition("/")[0])
        [row] = conn.execute("SELECT current_setting('statement_timeout') AS value").fetchall()
    assert row["value"] == "0"


def test_sixty_clients_share_eight_connections_and_each_gets_its_own_rows(pooled: Settings, pooler: PgBouncer) -> None:
    migrated(pooled, pooler)

    def client(number: int) -> int:
        wrong = 0
        with pools.pool(pooled, "tests", size=1) as pool:
            for turn in range(20):
                with pool.connection() as conn:
                    # As many different statements as psycopg would prepare by itself.
                    for column in ("a", "b", "c"):
                        [row] = conn.execute(f"SELECT %s::int AS {column}{number % 3}", [turn]).fetchall()
                        wrong += row != {f"{column}{number % 3}": turn}
        return wrong

    with ThreadPoolExecutor(60) as threads:
        assert sum(threads.map(client, range(60))) == 0


def test_the_whole_engine_runs_behind_the_pooler(pooled: Settings, pooler: PgBouncer, servers: Settings) -> None:
    with private_stack.running(
        PRICING_DATABASE_URL=pooled.database_url,
        PRICING_DATABASE_DIRECT_URL=pooled.database_direct_url,
        PRICING_DATABASE_POOLER="transaction",
    ) as stack:
        engine = stack.engine
        product = engine.put_product(strategy="match")["product_id"]
        event = engine.publish(
            "competitor_price_changed",
            {"product_id": product, "competitor": "acme", "price": "95.00", "currency": "USD"},
        )
        assert engine.settled(event["event_id"])["status"] == "applied"
        eventually(lambda: engine.price(product, user_location="CHI")["final_price"] == "95.00", "the new price")
        assert engine.ended(engine.recalculate())["status"] == "succeeded"
        assert engine.http.get("/health/ready").json()["status"] == "ready"
