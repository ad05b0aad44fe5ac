"""Vacuum of events and jobs after two percent of their rows, not after a fifth.

Among ten million rows it would wait for two million dead ones. Until then the entries of completed events stay in the
index of waiting events. No row is rewritten.
"""

from alembic import op

revision = "0043"
down_revision = "0042"

SETTINGS = """
ALTER TABLE {table} SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.02,
    autovacuum_analyze_scale_factor = 0.02)
"""


def upgrade() -> None:
    """Set the parameters."""
    for table in ("market_events", "tasks"):
        op.execute(SETTINGS.format(table=table))
