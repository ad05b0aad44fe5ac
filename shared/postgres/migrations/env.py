"""Alembic's entry point: one connection, one transaction, one migrator at a time; offline, only the statements."""

import psycopg
from alembic import context
from sqlalchemy import create_engine, pool, text

from shared.addresses import PRIMARY

# An arbitrary number, the same for every migrator of this database.
MIGRATION_LOCK = 7_203_771
# While a statement waits for a table, every reader of the table waits behind it.
BOUNDED = "SET LOCAL lock_timeout = '10s'"

UNLIMITED = """
SELECT set_config(name, '0', true)
FROM unnest(ARRAY['statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout']) AS limits (name)
"""


def write_down() -> None:
    """Write the statements into Alembic's buffer."""
    context.configure(dialect_name="postgresql")
    with context.begin_transaction():
        context.execute(BOUNDED)
        context.run_migrations()


def migrate() -> None:
    """Run the statements."""
    engine = create_engine(
        "postgresql+psycopg://",
        # SQLAlchemy accepts fewer forms of an address than libpq.
        creator=lambda: psycopg.connect(
            context.config.attributes["database_url"], client_encoding="utf8", target_session_attrs=PRIMARY
        ),
        poolclass=pool.NullPool,
    )
    with engine.connect() as connection, connection.begin():
        # The role may have limits, for a pooler. This wait has no bound: another migrator may need minutes.
        connection.execute(text(UNLIMITED))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        connection.execute(text(BOUNDED))
        context.configure(connection=connection)
        context.run_migrations()


if context.is_offline_mode():
    write_down()
else:
    migrate()
