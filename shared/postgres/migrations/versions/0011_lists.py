"""Indexes of the lists of tasks and market events, newest first."""

from alembic import op

revision = "0011"
down_revision = "0010"

INDEXES = """
CREATE INDEX tasks_by_creation ON tasks (created_at, task_id);
CREATE INDEX market_events_by_receipt ON market_events (recorded_at, source, id);
"""


def upgrade() -> None:
    """Create the indexes."""
    op.execute(INDEXES)
