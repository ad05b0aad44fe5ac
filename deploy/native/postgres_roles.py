"""The roles of the stack's own PostgreSQL: `postgres` is the superuser, `pricing` owns the database and no more."""

import psycopg
from psycopg import Connection, sql

from deploy.native.state import SUPERUSER, State

ROLE = DATABASE = "pricing"
_HELPER = "pricing_renaming"
_Row = tuple[object, ...]


def ensure(state: State) -> None:
    """Create the role and the database where they are missing; repeated, it changes nothing.

    In a cluster of an older release `pricing` is the superuser. It is renamed, and a role of the old name takes over
    the database with all that is in it.

    Raises:
        psycopg.Error: the server is not ready.
    """
    try:
        server = _connected(state, SUPERUSER, state.postgres_superuser_password, "postgres")
    except psycopg.OperationalError:
        _rename_superuser(state)
        server = _connected(state, SUPERUSER, state.postgres_superuser_password, "postgres")
    with server:
        if not _has(server, "SELECT 1 FROM pg_roles WHERE rolname = %s", ROLE):
            server.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(ROLE), state.postgres_password)
            )
        if not _has(server, "SELECT 1 FROM pg_database WHERE datname = %s", DATABASE):
            server.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(DATABASE), sql.Identifier(ROLE))
            )
        owner = "SELECT 1 FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba WHERE datname = %s AND rolname = %s"
        if not _has(server, owner, DATABASE, ROLE):
            _hand_over(state)


def _rename_superuser(state: State) -> None:
    """A role cannot rename itself: a helper does it, and is dropped."""
    with _connected(state, ROLE, state.postgres_password, "postgres") as old:
        helper = sql.Identifier(_HELPER)
        old.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(helper))
        old.execute(
            sql.SQL("CREATE ROLE {} SUPERUSER LOGIN PASSWORD {}").format(helper, state.postgres_superuser_password)
        )
    with _connected(state, _HELPER, state.postgres_superuser_password, "postgres") as renaming, renaming.transaction():
        old_name, new_name = sql.Identifier(ROLE), sql.Identifier(SUPERUSER)
        renaming.execute(sql.SQL("ALTER ROLE {} RENAME TO {}").format(old_name, new_name))
        renaming.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(new_name, state.postgres_superuser_password))
    with _connected(state, SUPERUSER, state.postgres_superuser_password, "postgres") as server:
        server.execute(sql.SQL("DROP ROLE {}").format(helper))


def _hand_over(state: State) -> None:
    """Make `pricing` the owner of the database and of every table, sequence and function in it."""
    with _connected(state, SUPERUSER, state.postgres_superuser_password, DATABASE) as server, server.transaction():
        server.execute(_HAND_OVER)
        server.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(DATABASE), sql.Identifier(ROLE)))


def _connected(state: State, user: str, password: str, database: str) -> Connection[_Row]:
    return psycopg.connect(
        host="127.0.0.1",
        port=state.postgres_port,
        user=user,
        password=password,
        dbname=database,
        connect_timeout=2,
        autocommit=True,
    )


def _has(server: Connection[_Row], query: str, *values: str) -> bool:
    return server.execute(query.encode(), values).fetchone() is not None


# Sequences of identity columns and indexes go with their tables. In PostgreSQL 15 and later the database's owner also
# owns the schema `public`; in 14 everybody may create tables there.
_HAND_OVER = """
DO $$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT format('ALTER TABLE %s OWNER TO pricing', c.oid::regclass) FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
        UNION ALL
        SELECT format('ALTER FUNCTION %s OWNER TO pricing', p.oid::regprocedure) FROM pg_proc p
        WHERE p.pronamespace = 'public'::regnamespace
    LOOP
        EXECUTE statement;
    END LOOP;
END $$
"""
