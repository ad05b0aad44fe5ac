"""Of several servers the one that takes writes is used, and a server that takes none any more is left at once."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import sqlalchemy.exc
from psycopg.conninfo import conninfo_to_dict

from deploy import ports
from deploy.native import stack, state
from shared import settings as app_settings
from shared.errors import DatabaseUnavailable, translate
from shared.postgres import migrations, pools
from shared.postgres.pools import Pool
from shared.settings import Settings
from tests.support import standbys
from tests.support.processes import Processes
from tests.support.standbys import Server
from tests.support.waiting import eventually

BEAT = "UPDATE epoch SET beat = beat + 7 RETURNING beat"
EPOCH = "SELECT current_epoch() AS epoch"
READ_ONLY = "SET default_transaction_read_only = on"


def test_a_connection_whose_server_takes_no_writes_any_more_is_made_anew(settings: Settings) -> None:
    async def pids() -> list[int]:
        found = []
        async with pools.read_pool(settings, "tests", size=1) as pool:
            for statement in (READ_ONLY, "SELECT 1"):
                async with pool.connection() as conn:
                    found.append(conn.info.backend_pid)
                    await conn.execute(statement.encode())
        return found

    with pools.pool(settings, "tests", size=1) as pool:
        with pool.connection() as conn:
            first = conn.info.backend_pid
            conn.execute(READ_ONLY)
        with pool.connection() as conn:
            assert conn.info.backend_pid != first
            conn.execute("CREATE TEMPORARY TABLE written (n integer)")
    assert len(set(asyncio.run(pids()))) == 2


def test_no_connection_is_made_to_a_server_that_takes_no_writes(settings: Settings) -> None:
    with psycopg.connect(settings.database_url, autocommit=True) as conn:
        name = conn.info.dbname
        conn.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on".encode())
        try:
            with pytest.raises(psycopg.OperationalError, match="read-only"):
                pools.connect(settings, "tests")
            with pytest.raises(sqlalchemy.exc.OperationalError, match="read-only"):
                migrations.migrate(settings)
        finally:
            conn.execute("SET default_transaction_read_only = off")
            conn.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only".encode())


class Pair:
    """A primary, its standby, and a pool whose address has both."""

    def __init__(self, primary: Server, standby: Server, pool: Pool) -> None:
        self.primary, self.standby, self._pool = primary, standby, pool

    def run(self, statement: str) -> object:
        """Run a statement by the pool; its value."""
        with self._pool.connection() as conn:
            row = conn.execute(statement.encode()).fetchone()
        return row and next(iter(row.values()))

    def leads_to(self, server: Server) -> bool:
        """Whether the pool leads there; that it leads nowhere may pass."""
        try:
            return self.run("SELECT inet_server_port() AS port") == server.known.postgres_port
        except psycopg.OperationalError as error:
            assert isinstance(translate(error), DatabaseUnavailable), error
            return False

    def fail_over(self, servers: Path) -> None:
        """Kill the primary, and promote the standby."""
        standbys.kill_primary(Processes(servers))
        self.standby.promote()
        eventually(lambda: self.leads_to(self.standby), "the pool leads to the new primary")


@pytest.fixture
def servers_home(tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / "servers"
    machine = {name: value for name, value in os.environ.items() if not name.startswith("PRICING_")}
    stack.up(home, machine, ["postgres"])
    yield home
    stack.down(home)


@pytest.fixture
def both(servers_home: Path) -> Settings:
    """Settings of a migrated database on two servers; the second one does not run yet."""
    address = standbys.both(state.load(servers_home).database_url, ports.free_port())
    found = app_settings.load({"PRICING_HOME": str(servers_home), "PRICING_DATABASE_URL": address})
    migrations.migrate(found)
    return found


@contextmanager
def paired(servers_home: Path, both: Settings, folder: Path, *, is_synchronous: bool) -> Iterator[Pair]:
    primary = Server(servers_home, state.load(servers_home))
    port = int(str(conninfo_to_dict(both.database_url)["port"]).split(",")[1])
    with (
        standbys.standby_of(servers_home, folder, port, is_synchronous=is_synchronous) as standby,
        pools.pool(both, "tests", size=2) as pool,
    ):
        yield Pair(primary, standby, pool)


@pytest.mark.long
def test_a_standby_replaces_a_killed_primary_and_no_commit_is_lost(
    servers_home: Path, both: Settings, tmp_path: Path
) -> None:
    with paired(servers_home, both, tmp_path, is_synchronous=True) as pair:
        assert pair.leads_to(pair.primary)
        epoch, last = pair.run(EPOCH), pair.run(BEAT)
        pair.fail_over(servers_home)
        assert pair.run("SELECT beat FROM epoch") == last
        assert pair.run(EPOCH) != epoch
        eventually(pair.primary.is_standby, "the former primary answers again, as a standby")
        assert all(pair.leads_to(pair.standby) for _ in range(10))
        with pools.connect(both, "tests") as conn:
            assert conn.info.port == pair.standby.known.postgres_port
        migrations.migrate(both)


@pytest.mark.long
def test_commits_that_an_asynchronous_standby_lacks_end_the_epoch(
    servers_home: Path, both: Settings, tmp_path: Path
) -> None:
    with paired(servers_home, both, tmp_path, is_synchronous=False) as pair:
        epoch = pair.run(EPOCH)
        pair.standby.ask("ALTER SYSTEM SET primary_conninfo = ''")
        pair.standby.ask("SELECT pg_reload_conf()")
        eventually(lambda: pair.primary.ask("SELECT count(*) FROM pg_stat_replication") == 0, "nobody follows")
        lost = pair.run(BEAT)
        pair.fail_over(servers_home)
        assert pair.run("SELECT beat FROM epoch") != lost
        assert pair.run(EPOCH) != epoch
