"""The breaker: whether automation is stopped, and the products that moved too far within its window."""

from alembic import op

revision = "0021"
down_revision = "0020"

SCHEMA = """
CREATE TABLE breaker (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    is_open boolean NOT NULL DEFAULT false,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    reason text NOT NULL DEFAULT '',
    author text NOT NULL DEFAULT ''
);
INSERT INTO breaker DEFAULT VALUES;

CREATE TABLE breaker_moves (
    product_id text PRIMARY KEY,
    moved_at timestamptz NOT NULL
);
CREATE INDEX breaker_moves_by_time ON breaker_moves (moved_at);
"""


def upgrade() -> None:
    """Create the tables; automation is not stopped."""
    op.execute(SCHEMA)
