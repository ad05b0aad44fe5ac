"""No wait for PostgreSQL is without end, also where its packets vanish."""

import threading
from uuid import uuid4

import msgspec
import psycopg
import pytest

from shared.catalogue import products
from shared.errors import DatabaseUnavailable, NotFound, translate
from shared.jobs import views
from shared.postgres import pools
from shared.settings import Settings
from tests.support.proxy import proxy_to

LONGEST_S = 30.0


def test_every_connection_gives_up_a_server_whose_packets_vanish(settings: Settings) -> None:
    """A black hole takes root to make; the driver's own view of its socket tells that the limits are set."""
    with pools.connect(settings, "tests") as conn:
        known = {line.keyword.decode(): (line.val or b"").decode() for line in conn.pgconn.info}
    assert {name: known[name] for name in pools.DEAD_AFTER} == {
        name: str(value) for name, value in pools.DEAD_AFTER.items()
    }


def test_a_connection_that_the_server_closes_is_away_and_nothing_hangs(settings: Settings) -> None:
    with proxy_to(settings.database_url) as proxy:
        pool = pools.pool(msgspec.structs.replace(settings, database_url=proxy.url()), "tests", size=1)
        pool.open()
        found: list[BaseException] = []

        def work() -> None:
            try:
                with pool.connection() as conn:
                    proxy.close()
                    conn.execute("SELECT 1")
            except psycopg.Error as error:
                found.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join(timeout=LONGEST_S)
        assert not thread.is_alive()
        pool.close()
    assert isinstance(translate(found[0]), DatabaseUnavailable)


def test_a_statement_whose_answer_never_comes_ends_in_time(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy keeps the connection, so that neither the server's limit nor that of the network ends it."""
    monkeypatch.setattr(pools, "LONGEST_WAIT_S", 0.5)
    with proxy_to(settings.database_url) as proxy:
        pool = pools.pool(msgspec.structs.replace(settings, database_url=proxy.url()), "tests", size=1)
        pool.open()
        with pytest.raises(psycopg.OperationalError) as ended, pool.connection() as conn:
            conn.execute("SELECT 1")
            assert proxy.black_hole() >= 1
            conn.execute("SELECT 1")
        assert isinstance(translate(ended.value), DatabaseUnavailable)
        assert conn.closed
        with pool.connection() as conn:
            assert conn.execute("SELECT 1 AS n").fetchone() == {"n": 1}
        pool.close()


@pytest.mark.parametrize("table", ["tasks", "products"])
def test_a_column_that_a_migration_adds_breaks_no_statement_of_an_open_connection(
    settings: Settings, table: str
) -> None:
    def look(conn: pools.Conn) -> None:
        with pytest.raises(NotFound):
            if table == "tasks":
                views.view(conn, uuid4())
            else:
                products.view(conn, "no such product")

    pool = pools.pool(settings, "tests", size=1)
    pool.open()
    try:
        for _ in range(10):  # psycopg prepares a statement at its sixth use
            with pool.connection() as conn:
                look(conn)
        with pools.connect(settings, "tests") as other:
            other.execute(f"ALTER TABLE {table} ADD COLUMN added integer".encode())
        with pool.connection() as conn:
            look(conn)
    finally:
        pool.close()
        with pools.connect(settings, "tests") as other:
            other.execute(f"ALTER TABLE {table} DROP COLUMN IF EXISTS added".encode())
