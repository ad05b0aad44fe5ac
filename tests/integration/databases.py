"""Databases of a test's own, beside the shared one. A copy of a migrated one takes a third of the migrations' time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

import msgspec
import psycopg
from psycopg import sql

from deploy.native import state
from shared.settings import Settings

Making = Callable[[], Settings]


@contextmanager
def empty(servers: Settings, template: str = "template1") -> Iterator[Making]:
    """Makes databases as the template is; they are dropped after the block, with their connections."""
    names: list[sql.Identifier] = []
    address, _, _ = servers.database_url.rpartition("/")
    with psycopg.connect(state.load(servers.home_dir).superuser_url, autocommit=True) as server:

        def make() -> Settings:
            name = f"t_{uuid4().hex[:12]}"
            create = sql.SQL("CREATE DATABASE {} OWNER pricing TEMPLATE {}")
            server.execute(create.format(sql.Identifier(name), sql.Identifier(template)))
            names.append(sql.Identifier(name))
            return msgspec.structs.replace(servers, database_url=f"{address}/{name}")

        try:
            yield make
        finally:
            for name in names:
                server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


@contextmanager
def migrated(servers: Settings, template: str) -> Iterator[Making]:
    """Makes copies of a migrated template, each in an epoch of its own, as the migrations leave it."""
    with empty(servers, template) as copied:

        def make() -> Settings:
            settings = copied()
            with psycopg.connect(settings.database_url) as conn:
                conn.execute("UPDATE epoch SET identity = database_identity()")
            return settings

        yield make
