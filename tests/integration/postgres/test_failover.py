"""Of several servers the one that takes writes is used, and a server that takes none any more is left at once."""

import asyncio

import psycopg
import pytest
import sqlalchemy.exc

from shared.postgres import migrations, pools
from shared.settings import Settings

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
