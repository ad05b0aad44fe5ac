"""What operators see: imports that were made, and quick counts of what has failed."""

from alembic import op

revision = "0004"
down_revision = "0003"

SCHEMA = """
CREATE TABLE imports (
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    created bigint NOT NULL,
    changed bigint NOT NULL,
    unchanged bigint NOT NULL,
    rejected bigint NOT NULL
);
CREATE INDEX failed_events ON market_events (received_at) WHERE status = 'failed';
CREATE INDEX failed_tasks ON tasks (finished_at) WHERE status = 'failed';
CREATE INDEX finished_runs ON tasks (finished_at) WHERE kind = 'recalculation' AND status = 'succeeded';
"""


def upgrade() -> None:
    """Add the table and the indexes."""
    op.execute(SCHEMA)
