"""The newest signal of each sender: a feed that falls silent is noticed."""

from alembic import op

revision = "0024"
down_revision = "0023"

SCHEMA = """
CREATE TABLE signal_sources (
    kind text NOT NULL,
    source text NOT NULL,
    newest_at timestamptz NOT NULL,
    PRIMARY KEY (kind, source)
);
COMMENT ON TABLE signal_sources IS 'the source is the sender of events, not the competitor; forgotten after 30 days';
"""


def upgrade() -> None:
    """Create the table; it fills with the next signals."""
    op.execute(SCHEMA)
