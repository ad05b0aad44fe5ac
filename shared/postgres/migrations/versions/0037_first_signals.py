"""The first signal of each sender: one that was used once is no feed that falls silent."""

from alembic import op

revision = "0037"
down_revision = "0036"

SCHEMA = """
ALTER TABLE signal_sources ADD COLUMN first_at timestamptz NOT NULL DEFAULT '-infinity';
COMMENT ON COLUMN signal_sources.first_at IS 'time of its first signal; -infinity: noted before this column existed';
"""


def upgrade() -> None:
    """Add the column; processes of the release before leave it out."""
    op.execute(SCHEMA)
