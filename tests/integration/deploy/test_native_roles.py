"""The rights of the engine on the native stack's own servers, also where an older release gave it all of them."""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psycopg
import pytest
import redis

from deploy.native import environment, stack, state
from deploy.native.state import State

SERVERS = ("postgres", "redis")
ENV = {name: value for name, value in os.environ.items() if not name.startswith(("PRICING_", "OTEL_"))}
KEY = "0123456789abcdef" * 3


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("roles") / "home"
    stack.up(home, ENV | {"PRICING_ADMIN_KEY": KEY}, SERVERS)
    yield home
    stack.down(home)


def test_no_program_gets_the_admin_key(home: Path) -> None:
    assert "PRICING_ADMIN_KEY" not in environment.load(home)
    assert not any(KEY in path.read_text(errors="replace") for path in home.glob("*") if path.is_file())


def test_the_engines_redis_user_has_no_right_over_the_server(home: Path) -> None:
    refused = (
        "CONFIG GET dir",
        "CONFIG SET dir /",
        "SAVE",
        "BGSAVE",
        "DEBUG JMAP",
        "MODULE LIST",
        "ACL LIST",
        "SHUTDOWN",
    )
    with redis.Redis.from_url(environment.load(home)["PRICING_REDIS_URL"], protocol=2) as engine:
        assert engine.set("a", 1)
        for command in refused:
            with pytest.raises(redis.exceptions.ResponseError, match=r"no permissions|not allowed"):
                engine.execute_command(*command.split())


def test_the_engines_postgresql_role_owns_its_database_and_no_more(home: Path) -> None:
    with psycopg.connect(environment.load(home)["PRICING_DATABASE_URL"], autocommit=True) as engine:
        row = engine.execute(
            "SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls FROM pg_roles"
            " WHERE rolname = current_user"
        ).fetchone()
        assert row == (False,) * 5
        engine.execute("CREATE TABLE own (a int)")
        engine.execute("DROP TABLE own")
        for forbidden in ("CREATE ROLE other", "COPY (SELECT 1) TO PROGRAM 'true'", "ALTER SYSTEM SET port = 1"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                engine.execute(forbidden)


def test_the_role_of_an_older_home_is_no_superuser_after_up_and_owns_what_it_had(home: Path) -> None:
    stack.up(home, ENV, SERVERS)
    own = state.load(home)
    make_older(own)
    (home / "native.json").write_bytes(msgspec.json.encode(without_new_passwords(own)))
    stack.up(home, ENV, SERVERS)
    with psycopg.connect(environment.load(home)["PRICING_DATABASE_URL"]) as engine:
        rows = engine.execute("SELECT rolsuper, a FROM pg_roles, kept WHERE rolname = current_user").fetchall()
        engine.execute("ALTER TABLE kept ADD COLUMN b int")
        engine.execute("ALTER FUNCTION doubled(int) RENAME TO twice")
    assert rows == [(False, 7)]
    stack.up(home, ENV, SERVERS)


def make_older(own: State) -> None:
    """As an older release left it: the superuser is called `pricing`, and owns everything."""
    with psycopg.connect(own.superuser_url, autocommit=True) as server:
        server.execute("CREATE ROLE renaming SUPERUSER LOGIN PASSWORD 'renaming'")
        server.execute("ALTER DATABASE pricing OWNER TO postgres")
        server.execute("DROP ROLE pricing")
    url = own.superuser_url.replace(f"postgres:{own.postgres_superuser_password}", "renaming:renaming")
    with psycopg.connect(url, autocommit=True) as server:
        server.execute("ALTER ROLE postgres RENAME TO pricing")
        server.execute(f"ALTER ROLE pricing PASSWORD '{own.postgres_password}'")
    with psycopg.connect(own.database_url, autocommit=True) as server:
        server.execute("DROP ROLE renaming")
        server.execute("CREATE TABLE kept AS SELECT 7 AS a")
        server.execute("CREATE FUNCTION doubled(x int) RETURNS int LANGUAGE sql AS 'SELECT 2 * x'")


def without_new_passwords(own: State) -> dict[str, object]:
    fields: dict[str, object] = msgspec.to_builtins(own)
    return {name: value for name, value in fields.items() if "superuser" not in name}
