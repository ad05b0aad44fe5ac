"""Alembic's entry point: one connection, one transaction, one migrator at a time."""

from alembic import context
from sqlalchemy import create_engine, pool, text

# Any number; the same for all who migrate this database.
MIGRATION_LOCK = 7_203_771

engine = create_engine(
    context.config.get_main_option("sqlalchemy.url") or "",
    poolclass=pool.NullPool,
    connect_args={"client_encoding": "utf8"},
)
with engine.connect() as connection, connection.begin():
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
    context.configure(connection=connection)
    context.run_migrations()
