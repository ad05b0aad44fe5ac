"""The database of the native stack, or of a server of one's own."""

import os
from collections.abc import Mapping
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from deploy.database import Database
from deploy.errors import StackError
from deploy.native import modules, postgres_server, state
from shared import settings as app_settings
from shared.addresses import PRIMARY

CONNECT_TIMEOUT_S = 5


def find(home: Path, env: Mapping[str, str]) -> Database:
    """The database of the settings in force, with the tools of the stack's own PostgreSQL, else of PATH.

    Raises:
        StackError: there are no tools, or the settings are invalid.
    """
    try:
        url = app_settings.load({**env, "PRICING_HOME": str(home)}).direct_url
    except app_settings.InvalidSettings as error:
        raise StackError(f"{error}.") from error
    own = state.load(home)
    is_own = url == own.database_url
    engine = conninfo_to_dict(url)
    server = conninfo_to_dict(own.superuser_url) if is_own else dict(engine)
    password, name = server.pop("password", None), str(engine.get("dbname") or engine.get("user") or "")
    server.pop("dbname", None)
    # A server of one's own is older or as old as the newest tools.
    tools = postgres_server.binaries(home if is_own else home / "none", env)

    def migrate(database: str) -> None:
        address = make_conninfo(url, dbname=database)
        of_database = {"PRICING_HOME": str(home), "PRICING_DATABASE_URL": address, "PRICING_DATABASE_DIRECT_URL": ""}
        done = modules.run("shared.commands", "migrate", env={**env, **of_database})
        if done.returncode:
            raise StackError(f"{done.stdout.strip()}\nThe restored database could not be migrated: see above.")

    return Database(
        name=name,
        owner=str(engine.get("user") or ""),
        server=make_conninfo("", **{**server, "connect_timeout": CONNECT_TIMEOUT_S, "target_session_attrs": PRIMARY}),
        tool=lambda tool: [str(tools / tool)],
        env={**os.environ, **env, **({"PGPASSWORD": str(password)} if password else {})},
        migrate=migrate,
    )
