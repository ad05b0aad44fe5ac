"""A stack whose PostgreSQL does not wait for the disk: tests kill processes, and no test cuts the machine's power."""

from collections.abc import Mapping
from pathlib import Path

import psycopg

from deploy.native import stack, state

SERVERS = ("postgres", "redis")


def servers_up(home: Path, env: Mapping[str, str]) -> None:
    """Start PostgreSQL and Redis without the engine. PostgreSQL keeps `fsync = off` in its data folder."""
    stack.up(home, env, SERVERS)
    with psycopg.connect(state.load(home).superuser_url, autocommit=True) as server:
        for name in ("fsync", "full_page_writes"):
            server.execute(f"ALTER SYSTEM SET {name} = off".encode())
        server.execute("SELECT pg_reload_conf()")
